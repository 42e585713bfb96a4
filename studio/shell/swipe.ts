/** A finger across the panel turns to the next one. What scrolls or is dragged sideways itself keeps its gesture. */

/** In pixels, and milliseconds. */
const [least, longest] = [70, 700];
/** How far a finger may stray up or down, of its way across. */
const steepest = 0.5;

export function swipes(node: HTMLElement, turn: (by: 1 | -1) => void): { destroy(): void } {
  let begun: { readonly x: number; readonly y: number; readonly at: number } | undefined;
  const start = (event: TouchEvent): void => {
    const [touch] = event.touches;
    begun = event.touches.length === 1 && !movesItself(event.target, node) ? { x: touch.clientX, y: touch.clientY, at: event.timeStamp } : undefined;
  };
  const end = (event: TouchEvent): void => {
    if (!begun) return;
    const [touch] = event.changedTouches;
    const [dx, dy] = [touch.clientX - begun.x, touch.clientY - begun.y];
    const quick = event.timeStamp - begun.at < longest;
    begun = undefined;
    if (quick && Math.abs(dx) >= least && Math.abs(dy) < Math.abs(dx) * steepest) turn(dx < 0 ? 1 : -1);
  };
  const cancel = (): void => {
    begun = undefined;
  };
  node.addEventListener("touchstart", start, { passive: true });
  node.addEventListener("touchend", end, { passive: true });
  node.addEventListener("touchcancel", cancel, { passive: true });
  return {
    destroy: () => {
      node.removeEventListener("touchstart", start);
      node.removeEventListener("touchend", end);
      node.removeEventListener("touchcancel", cancel);
    },
  };
}

function movesItself(target: EventTarget | null, end: HTMLElement): boolean {
  for (let at = target instanceof Element ? target : null; at && at !== end; at = at.parentElement) {
    const { overflowX, touchAction } = getComputedStyle(at);
    if (touchAction !== "auto" && touchAction !== "manipulation") return true;
    if (/auto|scroll/.test(overflowX) && at.scrollWidth > at.clientWidth + 1) return true;
    if (at.matches("input, select, textarea, [role=slider]")) return true;
  }
  return false;
}
