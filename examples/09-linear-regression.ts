/** Learning in its smallest form: slope and intercept of 30 noisy points, by the gradient steps that train a GPT. `node tools/run.mjs examples/09-linear-regression.ts` */
import { AdamW, linear, openDevice, randomFrom, squaredError, Tape, tensor, tensorScope } from "vitrine";

const random = randomFrom(1);
const rounded = (value: number): number => Number(value.toFixed(2));
const xs = Array.from({ length: 30 }, () => rounded(10 * random.next()));
const ys = xs.map((x) => rounded(2.5 * x - 4 + 3 * (random.next() + random.next() - 1))); // a line and noise
console.log("points", JSON.stringify(xs.map((x, i) => [x, ys[i]])));

const device = await openDevice();
const [x, y] = [tensor(device, Float32Array.from(xs), [30, 1]), tensor(device, Float32Array.from(ys), [30, 1])];
const slope = device.matrix(1, 1); // a 1 x 1 matrix: the model is y = W x + b, both 0 at first
const intercept = tensor(device, Float32Array.of(0));
const learnable = Object.entries({ slope, intercept: intercept.buffer }).map(([name, weights]) => ({ name, weights, decays: false }));
const optimiser = new AdamW(device, learnable, { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 });
const tape = new Tape(optimiser.gradients);
const each = tensor(device, new Float32Array(30).fill(1 / 30), [30, 1]); // the loss is the mean over the points

const steps = 600;
for (let step = 0; step <= steps; step++) {
  const losses = tape.record(() => {
    using scope = tensorScope();
    return scope.keep(squaredError(linear(x, slope, intercept), y)); // (30, 1)
  });
  if (step % 100 === 0) {
    const loss = (await losses.read()).reduce((sum, error) => sum + error / 30, 0);
    const [w, b] = [await device.readMatrix(slope), await intercept.read()];
    const line = `y = ${w[0].toFixed(4)} x ${b[0] < 0 ? "-" : "+"} ${Math.abs(b[0]).toFixed(4)}`;
    console.log(`step ${String(step).padStart(3)}  loss ${loss.toFixed(4).padStart(9)}  ${line}`);
  }
  optimiser.clearGradients();
  tape.backward(losses, each); // how the loss changes with slope and intercept
  losses.dispose();
  optimiser.step(0.2 * (1 - step / steps), 1); // against it, in ever smaller steps
}
optimiser.dispose();
device.dispose();
