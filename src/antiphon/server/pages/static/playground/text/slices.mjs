// Work on an answer that is more than a moment's: what a task of the page has no time for is done in later ones, one after the other.

const MOST = 60; // milliseconds of one task

const queue = [];
let end = 0; // when the time of this task is up; 0 between tasks
let timer = 0;

// Does the work now where there is time, else later, after all that waits already.
export function inTime(work) {
  if (!end) {
    end = performance.now() + MOST;
    schedule();
  }
  if (!queue.length && performance.now() < end) work();
  else {
    queue.push(work);
    schedule();
  }
}

function schedule() {
  timer ||= setTimeout(() => {
    timer = 0;
    end = performance.now() + MOST;
    let done = 0;
    while (done < queue.length && performance.now() < end) queue[done++]();
    queue.splice(0, done);
    end = 0;
    if (queue.length) schedule();
  });
}
