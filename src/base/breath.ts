/**
 * Letting the rest of the program run during long work: timers, key presses and abort signals only arrive between tasks,
 * and a device that computes at once never leaves the current one.
 */

/** Longest stretch without a pause, in milliseconds: one frame of a screen. */
const stretch = 16;

/** A function to await often; it really pauses only when the last pause is a frame ago, which costs well under 1 %. */
export function breather(): () => Promise<void> | undefined {
  let last = performance.now();
  return () => {
    if (performance.now() - last < stretch) return undefined;
    return nextTask().then(() => {
      last = performance.now();
    });
  };
}

/** A message to ourselves: no timer clamps it to milliseconds, and it exists in Node, pages and workers alike. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener("message", () => {
      port1.close();
      resolve();
    });
    port1.start();
    port2.postMessage(0);
  });
}
