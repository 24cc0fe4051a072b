//! The async client, on tokio: the same methods as [`crate::blocking`], to be awaited.

use crate::error::{ApiError, Error};
use crate::options::Options;
use crate::protocol::{self as p, Event, EventParser, Next, Reply, Request, Retry, SessionState};
use serde_json::{json, Value};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// A Descent server. Cheap to clone; tasks may share it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
    attempts: u32,
}

impl Client {
    pub fn new(options: &Options) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(options.timeout)
            .read_timeout(options.timeout)
            .tcp_nodelay(true)
            .build()
            .map_err(|e| Error::Argument(e.to_string()))?;
        Ok(Client { http, base: options.base(), key: options.key.clone(), attempts: options.attempts })
    }

    pub fn from_environment() -> Result<Self, Error> {
        Client::new(&Options::from_environment()?)
    }

    pub async fn session(&self, optimizer: &str, settings: &Value) -> Result<Session, Error> {
        let info = self.call(p::create("/v1/sessions", &p::session_body(optimizer, settings))).await?;
        Session::of(self, &info)
    }

    pub async fn resume(&self, id: &str) -> Result<Session, Error> {
        Session::of(self, &self.call(p::get(p::session(id))).await?)
    }

    pub async fn sessions(&self) -> Result<Vec<Value>, Error> {
        self.list("/v1/sessions").await
    }

    pub async fn optimizers(&self) -> Result<Vec<Value>, Error> {
        self.list("/v1/optimizers").await
    }

    pub async fn optimizer(&self, name: &str) -> Result<Value, Error> {
        self.call(p::get(p::optimizer(name))).await
    }

    pub async fn create_optimizer(&self, name: &str, family: &str, config: Option<&Value>) -> Result<Value, Error> {
        self.call(p::create("/v1/optimizers", &p::optimizer_body(name, family, config))).await
    }

    pub async fn delete_optimizer(&self, name: &str) -> Result<(), Error> {
        self.request(p::delete(p::optimizer(name))).await.map(drop)
    }

    pub async fn versions(&self, name: &str) -> Result<Vec<Value>, Error> {
        self.list(&(p::optimizer(name) + "/versions")).await
    }

    pub async fn upload(&self, name: &str, weights: &[u8]) -> Result<Value, Error> {
        self.call(p::upload(name, weights)).await
    }

    pub async fn download(&self, name: &str, version: u64) -> Result<Vec<u8>, Error> {
        let path = format!("{}/versions/{version}/weights", p::optimizer(name));
        Ok(self.request(p::get(path)).await?.body)
    }

    pub async fn set_alias(&self, name: &str, alias: &str, version: u64) -> Result<Value, Error> {
        let path = format!("{}/aliases/{}", p::optimizer(name), p::segment(alias));
        self.call(p::with_json("PUT", path, &json!({"version": version}))).await
    }

    pub async fn submit(&self, spec: &Value) -> Result<Job, Error> {
        let info = self.call(p::create("/v1/jobs", spec)).await?;
        Ok(self.job(info["id"].as_str().unwrap_or_default()))
    }

    pub fn job(&self, id: &str) -> Job {
        Job { client: self.clone(), id: id.to_string(), path: p::job(id) }
    }

    pub async fn info(&self) -> Result<Value, Error> {
        self.call(p::get("/v1")).await
    }

    async fn list(&self, path: &str) -> Result<Vec<Value>, Error> {
        let (mut items, mut token) = (Vec::new(), String::new());
        loop {
            token = p::take_page(self.call(p::page(path, &token)).await?, &mut items);
            if token.is_empty() {
                return Ok(items);
            }
        }
    }

    async fn call(&self, request: Request) -> Result<Value, Error> {
        self.request(request).await?.json()
    }

    async fn request(&self, request: Request) -> Result<Reply, Error> {
        let mut retry = Retry::new(self.attempts);
        loop {
            match retry.after(request.method, self.once(&request).await) {
                Next::Done(reply) => return Ok(reply),
                Next::Fail(error) => return Err(error),
                Next::Again(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    async fn once(&self, request: &Request) -> Result<Reply, String> {
        whole(self.send(request).await?).await
    }

    async fn send(&self, request: &Request) -> Result<reqwest::Response, String> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|e| e.to_string())?;
        let mut call = self.http.request(method, format!("{}{}", self.base, request.path));
        if let Some(key) = &self.key {
            call = call.bearer_auth(key);
        }
        for (name, value) in &request.headers {
            call = call.header(*name, value);
        }
        if !matches!(request.method, "GET" | "DELETE") {
            call = call.header("Content-Length", request.body.len()).body(request.body.clone());
        }
        call.send().await.map_err(|e| e.to_string())
    }
}

async fn whole(response: reqwest::Response) -> Result<Reply, String> {
    let status = response.status().as_u16();
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or_default().to_string();
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = response.bytes().await.map_err(|e| e.to_string())?.to_vec();
    Ok(Reply { status, headers, body })
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

    /// As [`crate::blocking::Session::update`]. Dropped before it is ready, it may have been taken: call it again with
    /// the same gradient.
    pub async fn update(&mut self, gradient: &[f32], loss: Option<f64>) -> Result<Vec<f32>, Error> {
        let reply = self.client.request(self.state.update(gradient, loss)?).await?;
        self.state.take_update(&reply)
    }

    pub async fn info(&self) -> Result<Value, Error> {
        self.client.call(p::get(self.path())).await
    }

    pub async fn reset(&mut self) -> Result<(), Error> {
        let info = self.client.call(p::post_empty(self.path() + "/reset")).await?;
        self.state.take(&info)
    }

    pub async fn checkpoint(&self, name: &str) -> Result<Value, Error> {
        self.client.call(p::create(self.path() + "/checkpoints", &json!({"name": name}))).await
    }

    pub async fn delete_checkpoint(&self, name: &str) -> Result<(), Error> {
        let path = format!("{}/checkpoints/{}", self.path(), p::segment(name));
        self.client.request(p::delete(path)).await.map(drop)
    }

    pub async fn restore(&mut self, checkpoint: &str) -> Result<(), Error> {
        let body = json!({"checkpoint": checkpoint});
        let info = self.client.call(p::with_json("POST", self.path() + "/restore", &body)).await?;
        self.state.take(&info)
    }

    pub async fn fork(&self, checkpoint: Option<&str>) -> Result<Session, Error> {
        let body = checkpoint.map_or(json!({}), |name| json!({"checkpoint": name}));
        Session::of(&self.client, &self.client.call(p::create(self.path() + "/fork", &body)).await?)
    }

    pub async fn state(&self) -> Result<Vec<u8>, Error> {
        Ok(self.client.request(p::get(self.path() + "/state")).await?.body)
    }

    pub async fn load_state(&mut self, state: &[u8]) -> Result<(), Error> {
        self.client.request(p::put_state(&self.path(), state)).await?;
        let info = self.info().await?;
        self.state.take(&info)
    }

    pub async fn delete(&self) -> Result<(), Error> {
        self.client.request(p::delete(self.path())).await.map(drop)
    }
}

/// Long work on the server: meta-training or evaluation.
pub struct Job {
    client: Client,
    pub id: String,
    path: String,
}

impl Job {
    pub async fn info(&self) -> Result<Value, Error> {
        self.client.call(p::get(self.path.clone())).await
    }

    pub async fn cancel(&self) -> Result<Value, Error> {
        self.client.call(p::post_empty(self.path.clone() + "/cancel")).await
    }

    pub async fn pause(&self) -> Result<Value, Error> {
        self.client.call(p::post_empty(self.path.clone() + "/pause")).await
    }

    pub async fn resume(&self) -> Result<Value, Error> {
        self.client.call(p::post_empty(self.path.clone() + "/resume")).await
    }

    /// Every event until the job is done: `while let Some(event) = events.next().await? { .. }`.
    pub fn events(&self) -> Events<'_> {
        Events {
            job: self,
            response: None,
            buffered: Vec::new(),
            parser: EventParser::default(),
            after: String::new(),
            silent: 0,
            done: false,
        }
    }

    /// Follow the job to its end; its result.
    pub async fn wait(&self) -> Result<Value, Error> {
        let mut events = self.events();
        while events.next().await?.is_some() {}
        let mut info = self.info().await?;
        match info["state"].as_str() {
            Some("succeeded") => Ok(info["result"].take()),
            _ => Err(Error::Job(info)),
        }
    }
}

/// The events of a job, one `next` at a time; a lost connection is taken up again where it was.
pub struct Events<'a> {
    job: &'a Job,
    response: Option<reqwest::Response>,
    buffered: Vec<u8>,
    parser: EventParser,
    after: String,
    silent: u32,
    done: bool,
}

impl Events<'_> {
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        while !self.done {
            if let Some(event) = self.read().await {
                self.silent = 0;
                self.after = event.id.clone();
                self.done = event.kind == "done";
                return Ok(Some(event));
            }
            if self.silent > 0 {
                tokio::time::sleep(Duration::from_millis(100 << self.silent.min(5))).await;
            }
            self.silent += 1;
            self.connect().await?;
        }
        Ok(None)
    }

    async fn connect(&mut self) -> Result<(), Error> {
        self.parser = EventParser::default();
        self.buffered.clear();
        let response = match self.job.client.send(&p::events(&self.job.path, &self.after)).await {
            Err(reason) if self.silent >= self.job.client.attempts => {
                return Err(Error::Connection { tries: self.silent, reason });
            }
            Err(_) => return Ok(()),
            Ok(response) => response,
        };
        if response.status().as_u16() >= 400 {
            let reply = whole(response).await.map_err(|reason| Error::Connection { tries: 1, reason })?;
            return Err(Error::Api(Box::new(ApiError::of(&reply))));
        }
        self.response = Some(response);
        Ok(())
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.buffered.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffered.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]);
                if let Some(event) = self.parser.line(line.trim_end_matches('\r')) {
                    return Some(event);
                }
            }
            match self.response.as_mut()?.chunk().await {
                Ok(Some(bytes)) => self.buffered.extend_from_slice(&bytes),
                _ => self.response = None,
            }
        }
    }
}
