/** Types of the client for Descent; what each does stands in index.js and README.md. */

export type Durability = "strict" | "relaxed" | "memory";
export type Labels = Record<string, string>;
export type Json = Record<string, unknown>;

export interface LayoutEntry { name: string; shape: number[]; optimizer?: string }

export interface SessionSettings {
  coordinates?: number;
  layout?: LayoutEntry[];
  durability?: Durability;
  clip_norm?: number | null;
  ttl_seconds?: number | null;
  labels?: Labels;
}

export interface SessionInfo extends Json { id: string; coordinates: number; step: number; state_bytes: number }
export interface OptimizerInfo extends Json { name: string; family: string; config: Json; latest_version: number | null }
export interface VersionInfo extends Json { version: number; family: string; sha256: string; size_bytes: number }
export type JobState = "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled";
export interface JobInfo extends Json { id: string; type: string; state: JobState; result: Json | null; error: unknown }
export interface JobEvent { id: string; kind: "state" | "progress" | "metric" | "log" | "done"; data: unknown }
export interface FieldError { pointer?: string; detail: string }

export interface ClientOptions {
  /** DESCENT_URL, else http://127.0.0.1:8080 */
  url?: string;
  /** DESCENT_API_KEY, else none */
  key?: string;
  timeoutSeconds?: number;
  /** How often one request is tried (8). */
  attempts?: number;
  /** Ends everything that this client waits for. */
  signal?: AbortSignal;
  fetch?: typeof fetch;
}

export class DescentError extends Error {}
export class ConnectionFailed extends DescentError {}
export class JobFailed extends DescentError { info: JobInfo }

export class ApiError extends DescentError {
  status: number;
  code: string;
  detail: string;
  requestId: string;
  retryable: boolean;
  errors: FieldError[];
  problem: Json;
  retryAfter?: number;
}

export class Client {
  constructor(options?: ClientOptions);
  session(optimizer: string, settings: SessionSettings): Promise<Session>;
  resume(id: string): Promise<Session>;
  sessions(filters?: Record<string, string>): AsyncGenerator<SessionInfo>;
  optimizers(): AsyncGenerator<OptimizerInfo>;
  optimizer(name: string): Promise<OptimizerInfo>;
  createOptimizer(name: string, family: string,
                  more?: { config?: Json; description?: string; labels?: Labels }): Promise<OptimizerInfo>;
  deleteOptimizer(name: string): Promise<void>;
  versions(name: string): AsyncGenerator<VersionInfo>;
  version(name: string, version: number): Promise<VersionInfo>;
  deleteVersion(name: string, version: number): Promise<void>;
  upload(name: string, weights: Uint8Array | ArrayBuffer): Promise<VersionInfo>;
  download(name: string, version: number): Promise<Uint8Array>;
  setAlias(name: string, alias: string, version: number): Promise<Json>;
  aliases(name: string): AsyncGenerator<Json>;
  submit(spec: Json): Promise<Job>;
  job(id: string): Promise<Job>;
  jobs(): AsyncGenerator<JobInfo>;
  info(): Promise<Json>;
}

export class Session {
  readonly id: string;
  readonly optimizer: unknown;
  readonly coordinates: number;
  step: number;
  replayed: boolean;
  update(gradient: Float32Array | ArrayLike<number>, options?: { loss?: number }): Promise<Float32Array>;
  info(): Promise<SessionInfo>;
  reset(): Promise<void>;
  checkpoint(name: string): Promise<Json>;
  checkpoints(): AsyncGenerator<Json>;
  deleteCheckpoint(name: string): Promise<void>;
  restore(checkpoint: string): Promise<void>;
  fork(checkpoint?: string): Promise<Session>;
  state(): Promise<Uint8Array>;
  loadState(state: Uint8Array): Promise<void>;
  history(maxPoints?: number): Promise<Json>;
  delete(): Promise<void>;
}

export class Job {
  readonly id: string;
  info(): Promise<JobInfo>;
  cancel(): Promise<JobInfo>;
  pause(): Promise<JobInfo>;
  resume(): Promise<JobInfo>;
  delete(): Promise<void>;
  events(options?: { after?: string; attempts?: number }): AsyncGenerator<JobEvent>;
  wait(): Promise<Json>;
}
