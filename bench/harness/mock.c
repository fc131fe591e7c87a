/* mock.c - a very cheap mock LLM upstream (single thread, epoll, no dependencies).
 *
 *   POST /v1/chat/completions   stream and non-stream, tool calls, usage chunk, [DONE]
 *   POST /v1/responses          stream and non-stream (for pass-through peers)
 *   GET  /v1/models             the models that bench.py uses
 *   GET  /stats                 {"chat":N,"responses":N,"open":N,"maxopen":N}   (what really reached the upstream)
 *   GET  /last                  the last request's head and body (to see what a gateway sent)
 *
 * The work is chosen by the model name in the request:  mock-n<chunks>-d<ms per chunk>[-f][-w][-s]
 *   n200  200 content chunks      d20  20 ms between chunks (first one at once; d0: as fast as it goes)
 *   f     answer with one function call, whose arguments come in n fragments, instead of text
 *   w     with d0: one write() per chunk instead of one write for the whole answer
 *   s     strict usage: never send a usage chunk
 *   l<ms> latency before the first byte of the answer
 * Every chunk's text is "~" + 10 digits (microseconds of CLOCK_MONOTONIC at the write, mod 1e10) + a letter, so that
 * a load generator on the same machine knows each token's transit time whatever lies between.
 *
 * build: gcc -O2 -o mock mock.c        run: ./mock PORT
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <stdint.h>
#include <unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

typedef struct { char *p; size_t len, cap; } buf;
static void bput(buf *b, const char *s, size_t n) {
    if (b->len + n + 1 > b->cap) { b->cap = (b->len + n + 1) * 2; b->p = realloc(b->p, b->cap); }
    memcpy(b->p + b->len, s, n); b->len += n; b->p[b->len] = 0;
}
static void bputs(buf *b, const char *s) { bput(b, s, strlen(s)); }

static uint64_t now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec; }
static void stamp(char *at, uint64_t ns) { uint64_t u = (ns / 1000) % 10000000000ull; for (int i = 9; i >= 0; i--) { at[i] = '0' + u % 10; u /= 10; } }

/* ---- answer templates ---- */
enum { CHAT, RESP };
typedef struct { size_t off, len; size_t st; } piece;             /* st: offset of the stamp in body, 0 = none */
typedef struct tmpl {
    struct tmpl *next; int kind, stream, n, fc, usage;
    buf b; piece *pc; int np;                                     /* pc[0] = head+preamble+(first token), ... last = tail */
    size_t *st; int nst;                                          /* all the stamps */
} tmpl;
static tmpl *tmpls;

static const char *HDR_SSE = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n";

static void chunk(buf *out, const char *s, size_t n) { char h[32]; int k = sprintf(h, "%zx\r\n", n); bput(out, h, k); bput(out, s, n); bput(out, "\r\n", 2); }
static void addst(tmpl *t, size_t off) { t->st = realloc(t->st, (t->nst + 1) * sizeof *t->st); t->st[t->nst++] = off; }
static void mark(tmpl *t, size_t from) {                          /* note every stamp written since `from` */
    for (char *p = t->b.p + from, *e = t->b.p + t->b.len; (p = memchr(p, '~', e - p)); p++) {
        p[11] = 'a' + (t->nst % (t->n ? t->n : 1)) % 26;          /* no two neighbours alike: some gateways end a stream that repeats itself */
        addst(t, p + 1 - t->b.p);
    }
}
static void cut(tmpl *t, size_t from) { t->pc = realloc(t->pc, (t->np + 1) * sizeof *t->pc); t->pc[t->np++] = (piece){from, t->b.len - from, 0}; }

#define TOK "~0000000000 "
static void chat_chunk(buf *o, const char *choices, const char *usage) {
    buf t = {0}; bputs(&t, "data: {\"id\":\"chatcmpl-8f3c1e6b5d7a4c2f9e0b1a2d3c4e5f60\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"mock\",\"choices\":");
    bputs(&t, choices); if (usage) { bputs(&t, ",\"usage\":"); bputs(&t, usage); } bputs(&t, "}\n\n"); chunk(o, t.p, t.len); free(t.p);
}
static void ev(buf *o, int *seq, const char *type, const char *rest) {
    buf t = {0}; char s[64]; bputs(&t, "event: "); bputs(&t, type); bputs(&t, "\ndata: {\"type\":\""); bputs(&t, type);
    sprintf(s, "\",\"sequence_number\":%d", (*seq)++); bputs(&t, s); if (*rest) { bputs(&t, ","); bputs(&t, rest); } bputs(&t, "}\n\n"); chunk(o, t.p, t.len); free(t.p);
}
static void text(buf *o, int n) { for (int i = 0; i < n; i++) bputs(o, TOK); }
static void resp_obj(buf *o, const char *status, int n, int fc, int full) {
    char s[512];
    sprintf(s, "{\"id\":\"resp_8f3c1e6b5d7a4c2f9e0b1a2d3c4e5f60\",\"object\":\"response\",\"created_at\":1760000000,\"status\":\"%s\",\"error\":null,\"incomplete_details\":null,\"instructions\":null,\"max_output_tokens\":null,\"model\":\"mock\",\"output\":[", status); bputs(o, s);
    if (full && !fc) { bputs(o, "{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\""); text(o, n); bputs(o, "\",\"annotations\":[]}]}"); }
    if (full && fc) { bputs(o, "{\"id\":\"fc_1\",\"type\":\"function_call\",\"status\":\"completed\",\"call_id\":\"call_1\",\"name\":\"tool_3\",\"arguments\":\"{\\\"a\\\":\\\""); text(o, n); bputs(o, "\\\"}\"}"); }
    bputs(o, "],\"parallel_tool_calls\":true,\"previous_response_id\":null,\"reasoning\":{\"effort\":null,\"summary\":null},\"store\":true,\"temperature\":1.0,\"text\":{\"format\":{\"type\":\"text\"}},\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,\"truncation\":\"disabled\",\"usage\":");
    if (full) { sprintf(s, "{\"input_tokens\":12,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":%d,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%d}", n, n + 12); bputs(o, s); } else bputs(o, "null");
    bputs(o, ",\"user\":null,\"metadata\":{}}");
}
static tmpl *get_tmpl(int kind, int stream, int n, int fc, int usage) {
    for (tmpl *t = tmpls; t; t = t->next) if (t->kind == kind && t->stream == stream && t->n == n && t->fc == fc && t->usage == usage) return t;
    tmpl *t = calloc(1, sizeof *t); t->kind = kind; t->stream = stream; t->n = n; t->fc = fc; t->usage = usage; t->next = tmpls; tmpls = t;
    char us[128]; sprintf(us, "{\"prompt_tokens\":12,\"total_tokens\":%d,\"completion_tokens\":%d}", n + 12, n);
    buf *b = &t->b;
    if (!stream) {
        buf o = {0};
        if (kind == CHAT) {
            bputs(&o, "{\"id\":\"chatcmpl-8f3c1e6b5d7a4c2f9e0b1a2d3c4e5f60\",\"object\":\"chat.completion\",\"created\":1760000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
            if (fc) { bputs(&o, "null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"tool_3\",\"arguments\":\"{\\\"a\\\":\\\""); text(&o, n); bputs(&o, "\\\"}\"}}]},\"logprobs\":null,\"finish_reason\":\"tool_calls\"}"); }
            else { bputs(&o, "\""); text(&o, n); bputs(&o, "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}"); }
            bputs(&o, "],\"usage\":"); bputs(&o, us); bputs(&o, "}");
        } else resp_obj(&o, "completed", n, fc, 1);
        char h[160]; sprintf(h, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: keep-alive\r\ncontent-length: %zu\r\n\r\n", o.len);
        bputs(b, h); bput(b, o.p, o.len); free(o.p); mark(t, 0); cut(t, 0); return t;
    }
    bputs(b, HDR_SSE); size_t from = 0; int seq = 0;
    if (kind == CHAT) {
        if (fc) chat_chunk(b, "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"tool_3\",\"arguments\":\"{\\\"a\\\":\\\"\"}}]},\"logprobs\":null,\"finish_reason\":null}]", NULL);
        else chat_chunk(b, "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]", NULL);
        for (int i = 0; i < n; i++) {
            chat_chunk(b, fc ? "[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"" TOK "\"}}]},\"logprobs\":null,\"finish_reason\":null}]"
                             : "[{\"index\":0,\"delta\":{\"content\":\"" TOK "\"},\"logprobs\":null,\"finish_reason\":null}]", NULL);
            cut(t, from); from = b->len;
        }
        if (fc) chat_chunk(b, "[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"}\"}}]},\"logprobs\":null,\"finish_reason\":null}]", NULL);
        chat_chunk(b, fc ? "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"tool_calls\"}]" : "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]", NULL);
        if (usage) chat_chunk(b, "[]", us);
        chunk(b, "data: [DONE]\n\n", 14);
    } else {
        buf r = {0}; bputs(&r, "\"response\":"); resp_obj(&r, "in_progress", n, fc, 0); ev(b, &seq, "response.created", r.p); ev(b, &seq, "response.in_progress", r.p); free(r.p);
        if (fc) ev(b, &seq, "response.output_item.added", "\"output_index\":0,\"item\":{\"id\":\"fc_1\",\"type\":\"function_call\",\"status\":\"in_progress\",\"call_id\":\"call_1\",\"name\":\"tool_3\",\"arguments\":\"\"}");
        else { ev(b, &seq, "response.output_item.added", "\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}");
               ev(b, &seq, "response.content_part.added", "\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}"); }
        if (fc) ev(b, &seq, "response.function_call_arguments.delta", "\"item_id\":\"fc_1\",\"output_index\":0,\"delta\":\"{\\\"a\\\":\\\"\"");
        for (int i = 0; i < n; i++) {
            if (fc) ev(b, &seq, "response.function_call_arguments.delta", "\"item_id\":\"fc_1\",\"output_index\":0,\"delta\":\"" TOK "\"");
            else ev(b, &seq, "response.output_text.delta", "\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"" TOK "\",\"logprobs\":[]");
            cut(t, from); from = b->len;
        }
        buf x = {0};
        if (fc) {
            ev(b, &seq, "response.function_call_arguments.delta", "\"item_id\":\"fc_1\",\"output_index\":0,\"delta\":\"\\\"}\"");
            bputs(&x, "\"item_id\":\"fc_1\",\"output_index\":0,\"arguments\":\"{\\\"a\\\":\\\""); text(&x, n); bputs(&x, "\\\"}\""); ev(b, &seq, "response.function_call_arguments.done", x.p); x.len = 0;
            bputs(&x, "\"output_index\":0,\"item\":{\"id\":\"fc_1\",\"type\":\"function_call\",\"status\":\"completed\",\"call_id\":\"call_1\",\"name\":\"tool_3\",\"arguments\":\"{\\\"a\\\":\\\""); text(&x, n); bputs(&x, "\\\"}\"}"); ev(b, &seq, "response.output_item.done", x.p); x.len = 0;
        } else {
            bputs(&x, "\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"text\":\""); text(&x, n); bputs(&x, "\",\"logprobs\":[]"); ev(b, &seq, "response.output_text.done", x.p); x.len = 0;
            bputs(&x, "\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\""); text(&x, n); bputs(&x, "\",\"annotations\":[]}"); ev(b, &seq, "response.content_part.done", x.p); x.len = 0;
            bputs(&x, "\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\""); text(&x, n); bputs(&x, "\",\"annotations\":[]}]}"); ev(b, &seq, "response.output_item.done", x.p); x.len = 0;
        }
        bputs(&x, "\"response\":"); resp_obj(&x, "completed", n, fc, 1); ev(b, &seq, "response.completed", x.p); free(x.p);
    }
    bputs(b, "0\r\n\r\n"); cut(t, from);
    /* the tail goes out together with the last token */
    if (t->np > 1) { t->pc[t->np - 2].len += t->pc[t->np - 1].len; t->np--; }
    mark(t, 0);
    int k = 0; for (int i = 0; i < t->np; i++) { while (k < t->nst && t->st[k] < t->pc[i].off) k++; if (k < t->nst) t->pc[i].st = t->st[k]; }
    return t;
}

/* ---- connections ---- */
typedef struct conn {
    int fd; buf in; buf out; size_t outpos; int wantw;
    tmpl *t; int next; int perwrite; uint64_t due, step; int hi; /* heap index, -1 = not there */
    int closing;
} conn;
static int ep, tfd; static conn **heap; static int hn, hcap;
static uint64_t n_chat, n_resp; static int n_open, max_open; static buf last;

static void hswap(int a, int b) { conn *c = heap[a]; heap[a] = heap[b]; heap[b] = c; heap[a]->hi = a; heap[b]->hi = b; }
static void hup(int i) { while (i && heap[(i - 1) / 2]->due > heap[i]->due) { hswap(i, (i - 1) / 2); i = (i - 1) / 2; } }
static void hdown(int i) { for (;;) { int l = 2 * i + 1, r = l + 1, m = i; if (l < hn && heap[l]->due < heap[m]->due) m = l; if (r < hn && heap[r]->due < heap[m]->due) m = r; if (m == i) return; hswap(i, m); i = m; } }
static void hadd(conn *c) { if (hn == hcap) { hcap = hcap ? hcap * 2 : 256; heap = realloc(heap, hcap * sizeof *heap); } heap[hn] = c; c->hi = hn++; hup(c->hi); }
static void hdel(conn *c) { int i = c->hi; if (i < 0) return; hn--; if (i != hn) { heap[i] = heap[hn]; heap[i]->hi = i; hdown(i); hup(i); } c->hi = -1; }
static void arm(void) { struct itimerspec it = {0}; if (hn) { it.it_value.tv_sec = heap[0]->due / 1000000000ull; it.it_value.tv_nsec = heap[0]->due % 1000000000ull; } timerfd_settime(tfd, TFD_TIMER_ABSTIME, &it, NULL); }

static void process(conn *c);
static void drop(conn *c) { if (c->fd < 0) return; hdel(c); close(c->fd); c->fd = -1; free(c->in.p); free(c->out.p); c->in.p = c->out.p = NULL; n_open--; /* struct kept: tiny leak avoids use after free in one epoll batch */ }
static void flush_out(conn *c) {
    while (c->outpos < c->out.len) {
        ssize_t k = send(c->fd, c->out.p + c->outpos, c->out.len - c->outpos, MSG_NOSIGNAL);
        if (k < 0) { if (errno == EAGAIN) { if (!c->wantw) { struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c}; epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e); c->wantw = 1; } return; } drop(c); return; }
        c->outpos += k;
    }
    c->out.len = c->outpos = 0;
    if (c->wantw) { struct epoll_event e = {.events = EPOLLIN, .data.ptr = c}; epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e); c->wantw = 0; }
}
static void emit_piece(conn *c) {                                 /* next piece of a paced stream */
    piece *p = &c->t->pc[c->next]; size_t at = c->out.len; bput(&c->out, c->t->b.p + p->off, p->len);
    if (p->st) stamp(c->out.p + at + (p->st - p->off), now_ns());
    c->next++; flush_out(c);
    if (c->fd >= 0 && c->next >= c->t->np) c->t = NULL;
}
static void start_answer(conn *c, uint64_t lat) {
    uint64_t t = now_ns();
    if (lat) { c->due = t + lat; hadd(c); return; }
    if (c->step || c->perwrite) {
        if (c->perwrite && !c->step) { while (c->fd >= 0 && c->t) emit_piece(c); return; }
        c->due = t + c->step; emit_piece(c); if (c->fd >= 0 && c->t) hadd(c); return;
    }
    size_t at = c->out.len; bput(&c->out, c->t->b.p, c->t->b.len);
    for (int i = 0; i < c->t->nst; i++) stamp(c->out.p + at + c->t->st[i], t);
    c->t = NULL; flush_out(c);
}
static void json(conn *c, const char *s) { char h[128]; sprintf(h, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n", strlen(s)); bputs(&c->out, h); bputs(&c->out, s); flush_out(c); }
static int numafter(const char *p, const char *e, const char *key, int dflt) { const char *q = memmem(p, e - p, key, strlen(key)); return q ? atoi(q + strlen(key)) : dflt; }

static void request(conn *c, char *head, size_t hl, char *body, size_t bl) {
    if (!strncmp(head, "GET ", 4)) {
        if (!strncmp(head + 4, "/stats", 6)) { char s[256]; sprintf(s, "{\"chat\":%lu,\"responses\":%lu,\"open\":%d,\"maxopen\":%d}", n_chat, n_resp, n_open, max_open); max_open = n_open; json(c, s); }
        else if (!strncmp(head + 4, "/last", 5)) { buf o = {0}; bput(&o, last.p ? last.p : "", last.len); json(c, o.p ? o.p : ""); free(o.p); }
        else {                                        /* /v1/models */
            static const char *ms[] = {"mock-n100-d0", "mock-n100-d20", "mock-n200-d0", "mock-n200-d0-w", "mock-n50-d0-f",
                "mock-n10-d0", "mock-n1000-d0", "mock-n10000-d0", "mock-n100000-d0", "mock-n20-d200", "mock-n20-d1000", "mock-n2-d30000", "mock-n2-d120000", "mock-n300-d20", "mock-n100-d200", "mock-n50-d200", NULL}; buf o = {0}; bputs(&o, "{\"object\":\"list\",\"data\":[");
            for (int i = 0; ms[i]; i++) { if (i) bputs(&o, ","); bputs(&o, "{\"id\":\""); bputs(&o, ms[i]); bputs(&o, "\",\"object\":\"model\",\"created\":1760000000,\"owned_by\":\"mock\",\"max_model_len\":131072}"); }
            bputs(&o, "]}"); json(c, o.p); free(o.p);
        }
        return;
    }
    int kind = memmem(head, hl, "/responses", 10) ? RESP : CHAT; if (kind == RESP) n_resp++; else n_chat++;
    last.len = 0; bput(&last, head, hl); bput(&last, body, bl);
    int stream = memmem(body, bl, "\"stream\":true", 13) || memmem(body, bl, "\"stream\": true", 14);
    int usage = memmem(body, bl, "include_usage", 13) != NULL;
    int n = 100, d = 0, fc = 0, lat = 0; c->perwrite = 0;
    char *m = memmem(body, bl, "mock-", 5);
    if (m) {
        char *e = m + 4; while (e < body + bl && *e != '"') e++;
        n = numafter(m, e, "-n", 100); d = numafter(m, e, "-d", 0); lat = numafter(m, e, "-l", 0); fc = memmem(m, e - m, "-f", 2) != NULL; c->perwrite = memmem(m, e - m, "-w", 2) != NULL; if (memmem(m, e - m, "-s", 2)) usage = 0;
        if (fc && memmem(body, bl, "\"role\":\"tool\"", 13)) ;
    }
    c->t = get_tmpl(kind, stream, n, fc, usage); c->next = 0; c->step = stream ? (uint64_t)d * 1000000ull : 0; if (!stream) c->perwrite = 0;
    start_answer(c, (uint64_t)lat * 1000000ull);
}
static const char *hfind(const char *h, size_t n, const char *name) { size_t k = strlen(name); for (const char *p = h; p && p + k < h + n; p = memchr(p, '\n', h + n - p), p = p ? p + 1 : p) if (!strncasecmp(p, name, k)) return p + k; return NULL; }
static void process(conn *c) {
    while (c->fd >= 0 && c->in.len && !c->t) {
        char *e = memmem(c->in.p, c->in.len, "\r\n\r\n", 4); if (!e) return;
        size_t hl = e + 4 - c->in.p, bl = 0, used; const char *v;
        if ((v = hfind(c->in.p, hl, "content-length:"))) { bl = strtoul(v, NULL, 10); used = hl + bl; }
        else if ((v = hfind(c->in.p, hl, "transfer-encoding:"))) {
            size_t p = hl; for (;;) { char *q = memmem(c->in.p + p, c->in.len - p, "\r\n", 2); if (!q) return; size_t k = strtoul(c->in.p + p, NULL, 16); p = q + 2 - c->in.p + k + 2; if (p > c->in.len) return; if (!k) break; }
            bl = p - hl; used = p;
        } else used = hl;
        if (c->in.len < used) { if ((v = hfind(c->in.p, hl, "expect:")) && c->in.len == hl) { bputs(&c->out, "HTTP/1.1 100 Continue\r\n\r\n"); flush_out(c); } return; }
        request(c, c->in.p, hl, c->in.p + hl, bl);
        if (c->fd < 0) return;
        memmove(c->in.p, c->in.p + used, c->in.len - used); c->in.len -= used;
    }
}
int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 9100; signal(SIGPIPE, SIG_IGN); struct rlimit rl; if (!getrlimit(RLIMIT_NOFILE, &rl)) { rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl); }
    int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1; setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(ls, (void *)&a, sizeof a) || listen(ls, 4096)) { perror("bind"); return 1; }
    ep = epoll_create1(0); tfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}; epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
    static conn tc; e.data.ptr = &tc; epoll_ctl(ep, EPOLL_CTL_ADD, tfd, &e);
    static struct epoll_event evs[512];
    for (;;) {
        arm(); int k = epoll_wait(ep, evs, 512, -1);
        for (int i = 0; i < k; i++) {
            conn *c = evs[i].data.ptr;
            if (!c) { for (;;) { int fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK); if (fd < 0) break; setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); conn *n = calloc(1, sizeof *n); n->fd = fd; n->hi = -1; struct epoll_event x = {.events = EPOLLIN, .data.ptr = n}; epoll_ctl(ep, EPOLL_CTL_ADD, fd, &x); if (++n_open > max_open) max_open = n_open; } continue; }
            if (c == &tc) { uint64_t x; if (read(tfd, &x, 8) < 0) {} continue; }
            if (c->fd < 0) continue;
            if (evs[i].events & EPOLLOUT) flush_out(c);
            if (c->fd >= 0 && evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                for (;;) {
                    if (c->in.cap - c->in.len < 65536) { c->in.cap = c->in.len + 131072; c->in.p = realloc(c->in.p, c->in.cap); }
                    size_t room = c->in.cap - c->in.len - 1; ssize_t r = recv(c->fd, c->in.p + c->in.len, room, 0);
                    if (r == 0 || (r < 0 && errno != EAGAIN)) { drop(c); break; }
                    if (r < 0) break;
                    c->in.len += r; c->in.p[c->in.len] = 0; if ((size_t)r < room) break;
                }
                if (c->fd >= 0) process(c);
            }
        }
        uint64_t t = now_ns();
        while (hn && heap[0]->due <= t) {
            conn *c = heap[0]; hdel(c);
            if (c->next == 0 && !c->step) { start_answer(c, 0); if (c->fd >= 0) process(c); continue; }
            uint64_t due = c->due; emit_piece(c); if (c->fd < 0) continue;
            if (c->t) { c->due = due + c->step; hadd(c); } else process(c);
        }
    }
}
