"""CPU time and memory of processes and of the machine, as Linux tells them in /proc. Standard library only."""
import contextlib
import glob
import os

CLK = os.sysconf("SC_CLK_TCK")


def tree(pid):
    kids = {}
    for p in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            s = open(p).read()
            r = s[s.rindex(")") + 2:].split()
            kids.setdefault(int(r[1]), []).append(int(p.split("/")[2]))
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out


def cpu(pid, with_tree=True):
    """CPU seconds of a process and what lives under it; children that ended are in the parent's cutime/cstime."""
    t = 0
    for p in tree(pid) if with_tree else [pid]:
        with contextlib.suppress(OSError, ValueError):
            s = open(f"/proc/{p}/stat").read()
            r = s[s.rindex(")") + 2:].split()
            t += sum(map(int, r[11:15]))
    return t / CLK


def mem(pid):
    rss = pss = hwm = n = 0
    for p in tree(pid):
        with contextlib.suppress(OSError):
            for line in open(f"/proc/{p}/status"):
                if line.startswith("VmRSS"):
                    rss += int(line.split()[1]); n += 1
                elif line.startswith("VmHWM"):
                    hwm += int(line.split()[1])
            for line in open(f"/proc/{p}/smaps_rollup"):
                if line.startswith("Pss:"):
                    pss += int(line.split()[1])
    return dict(rss_mb=round(rss / 1024, 1), pss_mb=round(pss / 1024, 1), peak_mb=round(hwm / 1024, 1), processes=n)


def machine():
    v = list(map(int, open("/proc/stat").readline().split()[1:9]))
    return sum(v[:3] + v[5:7]) / CLK, v[7] / CLK  # busy, stolen
