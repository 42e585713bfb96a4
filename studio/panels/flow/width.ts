/** The width of an element, told by one observer for all strips: asking each for its own would lay the page out again and again. */
const told = new WeakMap<Element, (width: number) => void>();
let observer: ResizeObserver | undefined;

/** A Svelte action. */
export function widthOf(node: Element, tell: (width: number) => void): { destroy(): void } {
  observer ??= new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) told.get(target)?.(contentRect.width);
  });
  told.set(node, tell);
  observer.observe(node);
  return { destroy: () => observer?.unobserve(node) };
}
