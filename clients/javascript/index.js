/* A client for Descent, the server of learned optimizers: for Node 18 and later and for browsers, without dependencies.
 *
 *     const client = new Client();
 *     const session = await client.session("adam", { coordinates: theta.length });
 *     const update = await session.update(gradient(theta));
 *     theta.forEach((_, i) => { theta[i] += update[i]; });
 *
 * Every request may be sent twice: an update carries its step number, a POST that creates an Idempotency-Key, the rest
 * changes nothing more the second time. So a lost connection, an answer that does not come in time and a 429 or 503
 * lead to another try, after a pause that doubles and is never the same for two clients. */

const environment = globalThis.process?.env ?? {};

/** Whatever this module throws, wrong arguments apart. */
export class DescentError extends Error {}

/** No answer came, however often it was tried; `cause` is the last reason. */
export class ConnectionFailed extends DescentError {}

/** The server's problem+json. Decide by `code`, a constant such as "step_gap"; the sentence is for people. */
export class ApiError extends DescentError {
  constructor(status, problem, retryAfter) {
    super(`${problem.code ?? status}: ${problem.detail ?? problem.title ?? ""}`);
    this.status = status;
    this.code = problem.code ?? "";
    this.detail = problem.detail ?? "";
    this.requestId = problem.request_id ?? "";
    this.retryable = Boolean(problem.retryable);
    this.errors = problem.errors ?? [];
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/** The job ended otherwise than by success; `info` is all that the server says of it. */
export class JobFailed extends DescentError {
  constructor(info) {
    super(`job ${info.id} ${info.state}: ${info.error ?? "no reason given"}`);
    this.info = info;
  }
}

const sleep = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});

/* Milliseconds before the next try: 100, 200, ... up to 5,000, half of it by chance. */
const pause = (attempt) => Math.min(5000, 50 * 2 ** attempt) * (0.5 + 0.5 * Math.random());

async function failureOf(response) {
  const text = await response.text();
  let problem;
  try { problem = JSON.parse(text); } catch { problem = null; }
  if (problem === null || typeof problem !== "object") problem = { detail: text.slice(0, 200) };
  const after = Number(response.headers.get("Retry-After") ?? NaN);
  return new ApiError(response.status, problem, Number.isFinite(after) ? after : undefined);
}

const segment = encodeURIComponent;
const freshKey = () => globalThis.crypto.randomUUID();

/** A Descent server. */
export class Client {
  #base; #key; #timeout; #attempts; #signal; #fetch;

  constructor(options = {}) {
    this.#base = (options.url ?? environment.DESCENT_URL ?? "http://127.0.0.1:8080").replace(/\/+$/, "");
    this.#key = options.key ?? environment.DESCENT_API_KEY;
    this.#timeout = 1000 * (options.timeoutSeconds ?? Number(environment.DESCENT_TIMEOUT_SECONDS ?? 60));
    this.#attempts = Math.max(1, options.attempts ?? 8);
    this.#signal = options.signal;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /* --- sessions --- */

  /** Begin an optimization with "name", "name:7" or "name@alias"; settings as in the HTTP API. */
  async session(optimizer, settings) {
    return new Session(this, await this.call("POST", "/v1/sessions", { optimizer, ...settings }, true));
  }

  /** Go on with a session, at the step where the server has it. */
  async resume(id) { return new Session(this, await this.call("GET", `/v1/sessions/${segment(id)}`)); }

  sessions(filters = {}) { return this.pages("/v1/sessions", filters); }

  /* --- optimizers --- */

  optimizers() { return this.pages("/v1/optimizers"); }
  optimizer(name) { return this.call("GET", `/v1/optimizers/${segment(name)}`); }

  createOptimizer(name, family, { config, description, labels } = {}) {
    return this.call("POST", "/v1/optimizers", { name, family, config, description, labels }, true);
  }

  async deleteOptimizer(name) { await this.call("DELETE", `/v1/optimizers/${segment(name)}`); }
  versions(name) { return this.pages(`/v1/optimizers/${segment(name)}/versions`); }
  version(name, version) { return this.call("GET", `/v1/optimizers/${segment(name)}/versions/${Number(version)}`); }

  async deleteVersion(name, version) {
    await this.call("DELETE", `/v1/optimizers/${segment(name)}/versions/${Number(version)}`);
  }

  /** Add a version from the bytes of a safetensors file. */
  async upload(name, weights) {
    const headers = { "Content-Type": "application/x-safetensors", "Idempotency-Key": freshKey() };
    const response = await this.request("POST", `/v1/optimizers/${segment(name)}/versions`, { body: weights, headers });
    return JSON.parse(new TextDecoder().decode(response.body));
  }

  /** The weights of a version: the bytes of a safetensors file. */
  async download(name, version) {
    const path = `/v1/optimizers/${segment(name)}/versions/${Number(version)}/weights`;
    return new Uint8Array((await this.request("GET", path)).body);
  }

  setAlias(name, alias, version) {
    return this.call("PUT", `/v1/optimizers/${segment(name)}/aliases/${segment(alias)}`, { version });
  }

  aliases(name) { return this.pages(`/v1/optimizers/${segment(name)}/aliases`); }

  /* --- jobs --- */

  async submit(spec) { return new Job(this, await this.call("POST", "/v1/jobs", spec, true)); }
  async job(id) { return new Job(this, await this.call("GET", `/v1/jobs/${segment(id)}`)); }
  jobs() { return this.pages("/v1/jobs"); }

  /* --- the rest --- */

  /** Name, version, limits, families and problems of the server. */
  info() { return this.call("GET", "/v1"); }

  /** A request with JSON both ways; `create`: sent twice, it still makes one. */
  async call(method, path, body, create = false) {
    const headers = create ? { "Idempotency-Key": freshKey() } : {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const text = body === undefined ? undefined : JSON.stringify(body);
    const response = await this.request(method, path, { body: text, headers });
    return response.body.byteLength ? JSON.parse(new TextDecoder().decode(response.body)) : null;
  }

  /** The items of a list, its pages fetched as they are needed. */
  async *pages(path, filters = {}) {
    const query = new URLSearchParams({ ...filters, page_size: "1000" });
    for (;;) {
      const page = await this.call("GET", `${path}?${query}`);
      yield* page.items;
      if (!page.next_page_token) return;
      query.set("page_token", page.next_page_token);
    }
  }

  /** Send until there is an answer, whole; a failure of the server's is thrown as ApiError. */
  async request(method, path, { body, headers = {} } = {}) {
    for (let attempt = 1; ; attempt++) {
      const last = attempt === this.#attempts;
      let response, bytes;
      try {
        response = await this.#fetch(this.#base + path, {
          method, body, headers: this.headers(headers), signal: this.#limit(),
        });
        if (response.ok) bytes = await response.arrayBuffer();
      } catch (cause) {
        if (this.#signal?.aborted) throw this.#signal.reason;
        if (last) throw new ConnectionFailed(`no answer to ${method} ${path} in ${attempt} tries: ${cause}`, { cause });
        await sleep(pause(attempt), this.#signal);
        continue;
      }
      if (response.ok) return { status: response.status, headers: response.headers, body: bytes };
      if (method === "DELETE" && response.status === 404 && attempt > 1) {
        return { status: 204, headers: response.headers, body: new ArrayBuffer(0) }; // deleted by an earlier try
      }
      const failure = await failureOf(response);
      if ((response.status !== 429 && response.status !== 503) || last) throw failure;
      await sleep(Math.max(pause(attempt), 1000 * (failure.retryAfter ?? 0)), this.#signal);
    }
  }

  /** Begin a GET whose body the caller reads as it comes. */
  async stream(path, headers) {
    const response = await this.#fetch(this.#base + path, { headers: this.headers(headers), signal: this.#signal });
    if (!response.ok) throw await failureOf(response);
    return response.body;
  }

  headers(more) { return this.#key ? { Authorization: `Bearer ${this.#key}`, ...more } : more; }

  #limit() {
    const timeout = AbortSignal.timeout(this.#timeout);
    return this.#signal && AbortSignal.any ? AbortSignal.any([timeout, this.#signal]) : timeout;
  }
}

/** The server's state of one optimization. One call at a time: a step follows on the one before. */
export class Session {
  #client; #path;

  constructor(client, info) {
    this.#client = client;
    this.#path = `/v1/sessions/${segment(info.id)}`;
    this.id = info.id;
    this.optimizer = info.optimizer;
    this.coordinates = info.coordinates;
    this.replayed = false;
    this.step = info.step;
  }

  /** Send the gradient where the parameters stand; the update that comes back is to be ADDED to them.
   *
   * A Float32Array goes out as it is, other arrays of numbers are rounded to float32. When no answer arrives the same
   * step is sent again, which is safe; after ConnectionFailed it may be called again with the same gradient. */
  async update(gradient, { loss } = {}) {
    const grad = gradient instanceof Float32Array ? gradient : Float32Array.from(gradient);
    if (grad.length !== this.coordinates) {
      throw new RangeError(`the gradient has ${grad.length} numbers, the session ${this.coordinates} coordinates`);
    }
    const headers = { "Content-Type": "application/octet-stream", "Descent-Step": String(this.step) };
    if (loss !== undefined) headers["Descent-Loss"] = String(loss);
    const response = await this.#client.request("POST", `${this.#path}/update`, { body: toWire(grad), headers });
    if (response.body.byteLength !== 4 * this.coordinates) {
      throw new DescentError(`the update has ${response.body.byteLength} bytes, not ${4 * this.coordinates}`);
    }
    this.step = Number(response.headers.get("Descent-Step"));
    this.replayed = response.headers.get("Descent-Replayed") === "true";
    return fromWire(response.body);
  }

  info() { return this.#client.call("GET", this.#path); }
  async reset() { this.#take(await this.#client.call("POST", `${this.#path}/reset`)); }
  checkpoint(name) { return this.#client.call("POST", `${this.#path}/checkpoints`, { name }, true); }
  checkpoints() { return this.#client.pages(`${this.#path}/checkpoints`); }
  async deleteCheckpoint(name) { await this.#client.call("DELETE", `${this.#path}/checkpoints/${segment(name)}`); }

  /** Go back to a checkpoint. */
  async restore(checkpoint) { this.#take(await this.#client.call("POST", `${this.#path}/restore`, { checkpoint })); }

  /** A new session with the same state, or that of a checkpoint. */
  async fork(checkpoint) {
    return new Session(this.#client, await this.#client.call("POST", `${this.#path}/fork`, { checkpoint }, true));
  }

  /** The whole state: the bytes of a safetensors file. */
  async state() { return new Uint8Array((await this.#client.request("GET", `${this.#path}/state`)).body); }

  async loadState(state) {
    const headers = { "Content-Type": "application/x-safetensors" };
    await this.#client.request("PUT", `${this.#path}/state`, { body: state, headers });
    this.#take(await this.info());
  }

  history(maxPoints = 500) { return this.#client.call("GET", `${this.#path}/history?max_points=${Number(maxPoints)}`); }
  async delete() { await this.#client.call("DELETE", this.#path); }

  #take(info) {
    this.step = info.step;
    this.replayed = false;
  }
}

const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function toWire(floats) {
  if (littleEndian) return floats;
  const view = new DataView(new ArrayBuffer(4 * floats.length));
  floats.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return view;
}

function fromWire(buffer) {
  if (littleEndian) return new Float32Array(buffer);
  const view = new DataView(buffer);
  return Float32Array.from({ length: buffer.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** Long work on the server: meta-training or evaluation. */
export class Job {
  #client; #path;

  constructor(client, info) {
    this.#client = client;
    this.#path = `/v1/jobs/${segment(info.id)}`;
    this.id = info.id;
  }

  info() { return this.#client.call("GET", this.#path); }
  cancel() { return this.#client.call("POST", `${this.#path}/cancel`); }
  pause() { return this.#client.call("POST", `${this.#path}/pause`); }
  resume() { return this.#client.call("POST", `${this.#path}/resume`); }
  async delete() { await this.#client.call("DELETE", this.#path); }

  /** Every event, from the first or from the one after `after`, until the job is done, as they happen. A lost
   * connection is taken up again where it was, at most `attempts` times in a row without news. */
  async *events({ after, attempts = 8 } = {}) {
    for (let silent = 0; silent < attempts; silent++) {
      if (silent) await sleep(Math.min(5000, 100 * 2 ** silent));
      const headers = { Accept: "text/event-stream", ...(after === undefined ? {} : { "Last-Event-ID": after }) };
      try {
        for await (const event of parseEvents(await this.#client.stream(`${this.#path}/events`, headers))) {
          silent = 0;
          after = event.id || after;
          yield event;
          if (event.kind === "done") return;
        }
      } catch (cause) {
        if (cause instanceof DescentError) throw cause; // a refusal, not a lost connection
      }
    }
    throw new ConnectionFailed(`the events of job ${this.id} broke off ${attempts} times`);
  }

  /** Follow the job to its end; gives its result, or throws JobFailed. */
  async wait() {
    for await (const event of this.events()) void event;
    const info = await this.info();
    if (info.state !== "succeeded") throw new JobFailed(info);
    return info.result;
  }
}

/* Server-Sent Events (WHATWG HTML, 9.2) until the connection ends. */
async function* parseEvents(stream) {
  const decoder = new TextDecoder();
  let buffered = "", id = "", kind = "message", data = [];
  for await (const bytes of stream) {
    const lines = (buffered + decoder.decode(bytes, { stream: true })).split(/\r\n|\n/);
    buffered = lines.pop();
    for (const line of lines) {
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (line === "") {
        if (data.length) yield { id, kind, data: JSON.parse(data.join("\n")) };
        kind = "message";
        data = [];
      } else if (name === "id") id = value;
      else if (name === "event") kind = value;
      else if (name === "data") data.push(value);
    }
  }
}
