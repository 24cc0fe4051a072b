//! The blocking client.

use crate::error::{ApiError, Error};
use crate::options::Options;
use crate::protocol::{self as p, Event, EventParser, Next, Reply, Request, Retry, SessionState};
use serde_json::{json, Value};
use std::io::{BufRead, BufReader, Read};
use std::ops::{Deref, DerefMut};

/// A Descent server. Cheap to clone; threads may share it.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    key: Option<String>,
    attempts: u32,
}

impl Client {
    pub fn new(options: &Options) -> Self {
        let agent = ureq::AgentBuilder::new()
            .timeout_connect(options.timeout)
            .timeout_read(options.timeout)
            .timeout_write(options.timeout)
            .no_delay(true)
            .build();
        Client { agent, base: options.base(), key: options.key.clone(), attempts: options.attempts }
    }

    pub fn from_environment() -> Result<Self, Error> {
        Ok(Client::new(&Options::from_environment()?))
    }

    /// Begin an optimization with "name", "name:7" or "name@alias". `settings` as in the HTTP API: `coordinates` or
    /// `layout`, `durability`, `clip_norm`, `ttl_seconds`, `labels`.
    pub fn session(&self, optimizer: &str, settings: &Value) -> Result<Session, Error> {
        let info = self.call(p::create("/v1/sessions", &p::session_body(optimizer, settings)))?;
        Session::of(self, &info)
    }

    /// Go on with a session, at the step where the server has it.
    pub fn resume(&self, id: &str) -> Result<Session, Error> {
        Session::of(self, &self.call(p::get(p::session(id)))?)
    }

    pub fn sessions(&self) -> Result<Vec<Value>, Error> {
        self.list("/v1/sessions")
    }

    pub fn optimizers(&self) -> Result<Vec<Value>, Error> {
        self.list("/v1/optimizers")
    }

    pub fn optimizer(&self, name: &str) -> Result<Value, Error> {
        self.call(p::get(p::optimizer(name)))
    }

    /// A named optimizer; a hand-designed family has version 1 at once.
    pub fn create_optimizer(&self, name: &str, family: &str, config: Option<&Value>) -> Result<Value, Error> {
        self.call(p::create("/v1/optimizers", &p::optimizer_body(name, family, config)))
    }

    pub fn delete_optimizer(&self, name: &str) -> Result<(), Error> {
        self.request(p::delete(p::optimizer(name))).map(drop)
    }

    pub fn versions(&self, name: &str) -> Result<Vec<Value>, Error> {
        self.list(&(p::optimizer(name) + "/versions"))
    }

    /// Add a version from the bytes of a safetensors file.
    pub fn upload(&self, name: &str, weights: &[u8]) -> Result<Value, Error> {
        self.call(p::upload(name, weights))
    }

    /// The weights of a version: the bytes of a safetensors file.
    pub fn download(&self, name: &str, version: u64) -> Result<Vec<u8>, Error> {
        Ok(self.request(p::get(format!("{}/versions/{version}/weights", p::optimizer(name))))?.body)
    }

    pub fn set_alias(&self, name: &str, alias: &str, version: u64) -> Result<Value, Error> {
        let path = format!("{}/aliases/{}", p::optimizer(name), p::segment(alias));
        self.call(p::with_json("PUT", path, &json!({"version": version})))
    }

    /// Start a job from its specification.
    pub fn submit(&self, spec: &Value) -> Result<Job, Error> {
        let info = self.call(p::create("/v1/jobs", spec))?;
        Ok(self.job(info["id"].as_str().unwrap_or_default()))
    }

    /// A handle on a job; sends nothing.
    pub fn job(&self, id: &str) -> Job {
        Job { client: self.clone(), id: id.to_string(), path: p::job(id) }
    }

    /// Name, version, limits, families and problems of the server.
    pub fn info(&self) -> Result<Value, Error> {
        self.call(p::get("/v1"))
    }

    fn list(&self, path: &str) -> Result<Vec<Value>, Error> {
        let (mut items, mut token) = (Vec::new(), String::new());
        loop {
            token = p::take_page(self.call(p::page(path, &token))?, &mut items);
            if token.is_empty() {
                return Ok(items);
            }
        }
    }

    fn call(&self, request: Request) -> Result<Value, Error> {
        self.request(request)?.json()
    }

    fn request(&self, request: Request) -> Result<Reply, Error> {
        let mut retry = Retry::new(self.attempts);
        loop {
            match retry.after(request.method, self.once(&request)) {
                Next::Done(reply) => return Ok(reply),
                Next::Fail(error) => return Err(error),
                Next::Again(pause) => std::thread::sleep(pause),
            }
        }
    }

    fn once(&self, request: &Request) -> Result<Reply, String> {
        whole(self.send(request)?)
    }

    fn send(&self, request: &Request) -> Result<ureq::Response, String> {
        let mut call = self.agent.request(request.method, &format!("{}{}", self.base, request.path));
        if let Some(key) = &self.key {
            call = call.set("Authorization", &format!("Bearer {key}"));
        }
        for (name, value) in &request.headers {
            call = call.set(name, value);
        }
        let sent = match request.method {
            "GET" | "DELETE" => call.call(),
            _ => call.send_bytes(&request.body),
        };
        match sent {
            Ok(response) | Err(ureq::Error::Status(_, response)) => Ok(response),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn whole(response: ureq::Response) -> Result<Reply, String> {
    let status = response.status();
    let headers = response.headers_names().into_iter();
    let headers =
        headers.map(|name| (name.clone(), response.header(&name).unwrap_or_default().to_string())).collect();
    let length: Option<usize> = response.header("Content-Length").and_then(|text| text.parse().ok());
    let mut body = Vec::with_capacity(length.unwrap_or(0).min(1 << 30));
    response.into_reader().read_to_end(&mut body).map_err(|e| e.to_string())?;
    match length {
        Some(n) if n != body.len() && status != 204 => Err(format!("{} of {n} bytes arrived", body.len())),
        _ => Ok(Reply { status, headers, body }),
    }
}

/// The server's state of one optimization.
pub struct Session {
    client: Client,
    state: SessionState,
}

impl Deref for Session {
    type Target = SessionState;
    fn deref(&self) -> &SessionState {
        &self.state
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut SessionState {
        &mut self.state
    }
}

impl Session {
    fn of(client: &Client, info: &Value) -> Result<Self, Error> {
        Ok(Session { client: client.clone(), state: SessionState::of(info)? })
    }

    /// Send the gradient where the parameters stand; the update that comes back is to be ADDED to them. When no answer
    /// arrives the same step is sent again, which is safe; after `Error::Connection` it may be called again with the
    /// same gradient.
    pub fn update(&mut self, gradient: &[f32], loss: Option<f64>) -> Result<Vec<f32>, Error> {
        let reply = self.client.request(self.state.update(gradient, loss)?)?;
        self.state.take_update(&reply)
    }

    pub fn info(&self) -> Result<Value, Error> {
        self.client.call(p::get(self.path()))
    }

    /// The family's initial state, step 0.
    pub fn reset(&mut self) -> Result<(), Error> {
        let info = self.client.call(p::post_empty(self.path() + "/reset"))?;
        self.state.take(&info)
    }

    /// Keep the state under a name, for `restore` and `fork`.
    pub fn checkpoint(&self, name: &str) -> Result<Value, Error> {
        self.client.call(p::create(self.path() + "/checkpoints", &json!({"name": name})))
    }

    pub fn delete_checkpoint(&self, name: &str) -> Result<(), Error> {
        self.client.request(p::delete(format!("{}/checkpoints/{}", self.path(), p::segment(name)))).map(drop)
    }

    pub fn restore(&mut self, checkpoint: &str) -> Result<(), Error> {
        let body = json!({"checkpoint": checkpoint});
        let info = self.client.call(p::with_json("POST", self.path() + "/restore", &body))?;
        self.state.take(&info)
    }

    /// A new session with the same state, or that of a checkpoint.
    pub fn fork(&self, checkpoint: Option<&str>) -> Result<Session, Error> {
        let body = checkpoint.map_or(json!({}), |name| json!({"checkpoint": name}));
        Session::of(&self.client, &self.client.call(p::create(self.path() + "/fork", &body))?)
    }

    /// The whole state: the bytes of a safetensors file.
    pub fn state(&self) -> Result<Vec<u8>, Error> {
        Ok(self.client.request(p::get(self.path() + "/state"))?.body)
    }

    pub fn load_state(&mut self, state: &[u8]) -> Result<(), Error> {
        self.client.request(p::put_state(&self.path(), state))?;
        let info = self.info()?;
        self.state.take(&info)
    }

    pub fn delete(&self) -> Result<(), Error> {
        self.client.request(p::delete(self.path())).map(drop)
    }
}

/// Long work on the server: meta-training or evaluation.
pub struct Job {
    client: Client,
    pub id: String,
    path: String,
}

impl Job {
    pub fn info(&self) -> Result<Value, Error> {
        self.client.call(p::get(self.path.clone()))
    }

    pub fn cancel(&self) -> Result<Value, Error> {
        self.client.call(p::post_empty(self.path.clone() + "/cancel"))
    }

    pub fn pause(&self) -> Result<Value, Error> {
        self.client.call(p::post_empty(self.path.clone() + "/pause"))
    }

    pub fn resume(&self) -> Result<Value, Error> {
        self.client.call(p::post_empty(self.path.clone() + "/resume"))
    }

    /// Every event until the job is done, as they happen; a lost connection is taken up again where it was.
    pub fn events(&self) -> Events<'_> {
        Events { job: self, lines: None, parser: EventParser::default(), after: String::new(), silent: 0, done: false }
    }

    /// Follow the job to its end; its result.
    pub fn wait(&self) -> Result<Value, Error> {
        for event in self.events() {
            event?;
        }
        let mut info = self.info()?;
        match info["state"].as_str() {
            Some("succeeded") => Ok(info["result"].take()),
            _ => Err(Error::Job(info)),
        }
    }
}

/// The iterator over a job's events.
pub struct Events<'a> {
    job: &'a Job,
    lines: Option<Box<dyn Iterator<Item = std::io::Result<String>>>>,
    parser: EventParser,
    after: String,
    silent: u32,
    done: bool,
}

impl Events<'_> {
    fn connect(&mut self) -> Result<(), Error> {
        self.parser = EventParser::default();
        let response = match self.job.client.send(&p::events(&self.job.path, &self.after)) {
            Err(reason) if self.silent >= self.job.client.attempts => {
                return Err(Error::Connection { tries: self.silent, reason });
            }
            Err(_) => return Ok(()),
            Ok(response) => response,
        };
        if response.status() >= 400 {
            let reply = whole(response).map_err(|reason| Error::Connection { tries: 1, reason })?;
            return Err(Error::Api(Box::new(ApiError::of(&reply))));
        }
        self.lines = Some(Box::new(BufReader::new(response.into_reader()).lines()));
        Ok(())
    }

    fn read(&mut self) -> Option<Event> {
        while let Some(Ok(line)) = self.lines.as_mut()?.next() {
            if let Some(event) = self.parser.line(line.trim_end_matches('\r')) {
                return Some(event);
            }
        }
        self.lines = None;
        None
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            if let Some(event) = self.read() {
                self.silent = 0;
                self.after = event.id.clone();
                self.done = event.kind == "done";
                return Some(Ok(event));
            }
            if self.silent > 0 {
                std::thread::sleep(std::time::Duration::from_millis(100 << self.silent.min(5)));
            }
            self.silent += 1;
            if let Err(error) = self.connect() {
                self.done = true;
                return Some(Err(error));
            }
        }
        None
    }
}
