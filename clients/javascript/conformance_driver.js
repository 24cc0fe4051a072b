/* The conformance driver of the JavaScript client: JSON commands in, JSON answers out (see ../conformance/README.md). */

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { ApiError, Client, ConnectionFailed } from "./index.js";

const client = new Client();
let session;

const floats = (words) => new Float32Array(Uint32Array.from(words, (word) => parseInt(word, 16)).buffer);
const words = (array) => Array.from(new Uint32Array(array.buffer), (word) => word.toString(16).padStart(8, "0"));
const answer = () => ({ session: session.id, step: session.step, coordinates: session.coordinates });

const operations = {
  async create({ settings: { optimizer, ...settings } }) {
    session = await client.session(optimizer, settings);
    return answer();
  },
  async resume() {
    session = await client.resume(session.id);
    return answer();
  },
  async update({ gradient, loss, step }) {
    if (step !== undefined) session.step = step;
    const update = await session.update(floats(gradient), { loss });
    return { update: words(update), step: session.step, replayed: session.replayed };
  },
  async reset() {
    await session.reset();
    return answer();
  },
  async checkpoint({ name }) {
    await session.checkpoint(name);
    return {};
  },
  async restore({ checkpoint }) {
    await session.restore(checkpoint);
    return answer();
  },
  async fork({ checkpoint }) {
    session = await session.fork(checkpoint);
    return answer();
  },
  async delete() {
    await session.delete();
    return {};
  },
  async create_optimizer({ name, family, config }) {
    const made = await client.createOptimizer(name, family, { config });
    return { name: made.name, latest_version: made.latest_version };
  },
  async optimizers() {
    const names = [];
    for await (const item of client.optimizers()) names.push(item.name);
    return { names: names.sort() };
  },
  async upload({ name, file }) {
    return { version: (await client.upload(name, Buffer.from(file, "base64"))).version };
  },
  async download({ name, version }) {
    const bytes = await client.download(name, version);
    return { sha256: createHash("sha256").update(bytes).digest("hex") };
  },
  async run_job({ spec }) {
    const job = await client.submit(spec);
    const kinds = [];
    for await (const event of job.events()) kinds.push(event.kind);
    const info = await job.info();
    return { state: info.state, first: kinds[0], last: kinds.at(-1), result: info.result };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...rest } = JSON.parse(line);
  let result;
  try {
    result = await operations[op](rest);
  } catch (error) {
    if (error instanceof ApiError) result = { error: error.code, status: error.status };
    else if (error instanceof ConnectionFailed) result = { error: "connection_failed" };
    else throw error;
  }
  console.log(JSON.stringify(result));
}
