/** Sums: how every block writes into the residual stream, and how an adapter writes into part of a wide result. */
import { ShapeError } from "../../base/errors.ts";
import { showShape } from "../../base/shape.ts";
import { expectElements, lastAxis, rowCount } from "../shapes.ts";
import { gradientLike, tapeFor } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** a + b, both of one size; the result has a's shape. Throws ShapeError when sizes differ. */
export function add(a: Tensor, b: Tensor): Tensor {
  expectElements("add", "the second argument", b, a.shape, "both sides must have the same size");
  const out = empty(a.device, a.shape);
  a.device.kernels.add(out.buffer, a.buffer, b.buffer, out.buffer.length);

  tapeFor(a, b)?.note(out, [], (dY, tape) => {
    tape.give(a, dY.retain()); // d(a + b) = da + db
    tape.give(b, dY.retain());
  });
  return out;
}

/** y + part in its columns from `at` on: y (..., N), part (..., n) -> (..., N). Throws ShapeError when the part does not fit. */
export function addColumns(y: Tensor, at: number, part: Tensor): Tensor {
  const [rows, N, n] = [rowCount(y), lastAxis(y), lastAxis(part)];
  if (at < 0 || at + n > N || rowCount(part) !== rows)
    throw new ShapeError(`addColumns: ${showShape(part.shape)} at column ${at} of ${showShape(y.shape)}; it must lie inside and have as many rows`);
  const { kernels } = y.device;
  const out = empty(y.device, y.shape);
  kernels.copy(out.buffer, 0, y.buffer, 0, out.buffer.length);
  kernels.placeColumns(out.buffer, part.buffer, rows, N, at, n, true);

  tapeFor(y, part)?.note(out, [], (dY, tape) => {
    if (tape.wants(part)) {
      const dPart = gradientLike(part);
      kernels.columns(dPart.buffer, dY.buffer, rows, N, at, n);
      tape.give(part, dPart);
    }
    tape.give(y, dY.retain());
  });
  return out;
}
