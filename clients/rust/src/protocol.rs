//! What the blocking and the async client share: how requests look, what replies mean, when to try again. No I/O.

use crate::error::{ApiError, Error};
use serde_json::{json, Value};
use std::time::Duration;

pub(crate) struct Request {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Result<Value, Error> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|e| Error::Protocol(format!("the answer is no JSON: {e}")))
    }
}

/// One in a fresh series of bytes for Idempotency-Key and for pauses; std's hasher keys come from the system's randomness.
fn random_u64() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

pub(crate) fn fresh_key() -> String {
    format!("{:016x}{:016x}", random_u64(), random_u64())
}

pub(crate) fn get(path: impl Into<String>) -> Request {
    Request { method: "GET", path: path.into(), headers: Vec::new(), body: Vec::new() }
}

pub(crate) fn delete(path: impl Into<String>) -> Request {
    Request { method: "DELETE", ..get(path) }
}

pub(crate) fn post_empty(path: impl Into<String>) -> Request {
    Request { method: "POST", ..get(path) }
}

pub(crate) fn with_json(method: &'static str, path: impl Into<String>, body: &Value) -> Request {
    let headers = vec![("Content-Type", "application/json".to_string())];
    Request { method, path: path.into(), headers, body: body.to_string().into_bytes() }
}

/// A POST that makes one thing however often it is sent.
pub(crate) fn create(path: impl Into<String>, body: &Value) -> Request {
    let mut request = with_json("POST", path, body);
    request.headers.push(("Idempotency-Key", fresh_key()));
    request
}

pub(crate) fn upload(name: &str, weights: &[u8]) -> Request {
    let headers =
        vec![("Content-Type", "application/x-safetensors".to_string()), ("Idempotency-Key", fresh_key())];
    Request { method: "POST", path: format!("{}/versions", optimizer(name)), headers, body: weights.to_vec() }
}

pub(crate) fn put_state(path: &str, state: &[u8]) -> Request {
    let headers = vec![("Content-Type", "application/x-safetensors".to_string())];
    Request { method: "PUT", path: format!("{path}/state"), headers, body: state.to_vec() }
}

/// A path segment: everything but unreserved characters (RFC 3986) as %XX.
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

pub(crate) fn optimizer(name: &str) -> String {
    format!("/v1/optimizers/{}", segment(name))
}

pub(crate) fn session(id: &str) -> String {
    format!("/v1/sessions/{}", segment(id))
}

pub(crate) fn job(id: &str) -> String {
    format!("/v1/jobs/{}", segment(id))
}

pub(crate) fn optimizer_body(name: &str, family: &str, config: Option<&Value>) -> Value {
    let mut body = json!({"name": name, "family": family});
    if let Some(config) = config {
        body["config"] = config.clone();
    }
    body
}

pub(crate) fn session_body(optimizer: &str, settings: &Value) -> Value {
    let mut body = settings.clone();
    if body.is_null() {
        body = json!({});
    }
    body["optimizer"] = json!(optimizer);
    body
}

pub(crate) fn page(path: &str, token: &str) -> Request {
    let token = if token.is_empty() { String::new() } else { format!("&page_token={}", segment(token)) };
    get(format!("{path}?page_size=1000{token}"))
}

/// Move a page's items to the end of `items`; the next page's token, empty at the end.
pub(crate) fn take_page(mut page: Value, items: &mut Vec<Value>) -> String {
    if let Some(more) = page["items"].as_array_mut() {
        items.append(more);
    }
    page["next_page_token"].as_str().unwrap_or_default().to_string()
}

/// What a session knows of itself; both clients' sessions are this and a client.
#[derive(Debug, Clone)]
pub struct SessionState {
    pub id: String,
    pub coordinates: usize,
    /// What the next update is sent with.
    pub step: u64,
    /// Had the server taken the last update's step before?
    pub replayed: bool,
}

impl SessionState {
    pub(crate) fn of(info: &Value) -> Result<Self, Error> {
        let missing = |name: &str| Error::Protocol(format!("the session has no {name}"));
        Ok(SessionState {
            id: info["id"].as_str().ok_or_else(|| missing("id"))?.to_string(),
            coordinates: info["coordinates"].as_u64().ok_or_else(|| missing("coordinates"))? as usize,
            step: info["step"].as_u64().ok_or_else(|| missing("step"))?,
            replayed: false,
        })
    }

    pub(crate) fn path(&self) -> String {
        session(&self.id)
    }

    pub(crate) fn update(&self, gradient: &[f32], loss: Option<f64>) -> Result<Request, Error> {
        if gradient.len() != self.coordinates {
            let (got, n) = (gradient.len(), self.coordinates);
            return Err(Error::Argument(format!("the gradient has {got} numbers, the session {n} coordinates")));
        }
        let mut headers = vec![
            ("Content-Type", "application/octet-stream".to_string()),
            ("Descent-Step", self.step.to_string()),
        ];
        if let Some(loss) = loss {
            headers.push(("Descent-Loss", format!("{loss:?}")));
        }
        let body = gradient.iter().flat_map(|x| x.to_le_bytes()).collect();
        Ok(Request { method: "POST", path: self.path() + "/update", headers, body })
    }

    pub(crate) fn take_update(&mut self, reply: &Reply) -> Result<Vec<f32>, Error> {
        let step = reply.header("Descent-Step").and_then(|text| text.parse().ok());
        if reply.body.len() != 4 * self.coordinates {
            return Err(Error::Protocol(format!("the update has {} bytes", reply.body.len())));
        }
        self.step = step.ok_or_else(|| Error::Protocol("the update has no Descent-Step".into()))?;
        self.replayed = reply.header("Descent-Replayed") == Some("true");
        Ok(reply.body.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    pub(crate) fn take(&mut self, info: &Value) -> Result<(), Error> {
        *self = SessionState::of(info)?;
        Ok(())
    }
}

/// One event of a job. `kind` is `state`, `progress`, `metric`, `log` or `done`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: String,
    pub kind: String,
    pub data: Value,
}

/// Server-Sent Events (WHATWG HTML, 9.2), a line at a time.
#[derive(Default)]
pub(crate) struct EventParser {
    id: String,
    kind: String,
    data: Vec<String>,
}

impl EventParser {
    pub fn line(&mut self, line: &str) -> Option<Event> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.id = value.to_string(),
            "event" => self.kind = value.to_string(),
            "data" => self.data.push(value.to_string()),
            _ => {}
        }
        if !line.is_empty() || self.data.is_empty() {
            return None;
        }
        let data = serde_json::from_str(&self.data.join("\n")).unwrap_or(Value::Null);
        self.data.clear();
        Some(Event { id: self.id.clone(), kind: std::mem::take(&mut self.kind), data })
    }
}

pub(crate) fn events(job_path: &str, after: &str) -> Request {
    let mut request = get(format!("{job_path}/events"));
    request.headers.push(("Accept", "text/event-stream".into()));
    if !after.is_empty() {
        request.headers.push(("Last-Event-ID", after.into()));
    }
    request
}

/// Decides after each try of one request. Every request of this crate may be sent twice: an update carries its step
/// number, a POST that creates an Idempotency-Key, the rest changes nothing more the second time.
pub(crate) struct Retry {
    attempt: u32,
    attempts: u32,
}

pub(crate) enum Next {
    Done(Reply),
    Fail(Error),
    Again(Duration),
}

impl Retry {
    pub fn new(attempts: u32) -> Self {
        Retry { attempt: 0, attempts: attempts.max(1) }
    }

    pub fn after(&mut self, method: &str, outcome: Result<Reply, String>) -> Next {
        self.attempt += 1;
        let last = self.attempt >= self.attempts;
        let reply = match outcome {
            Err(reason) if last => return Next::Fail(Error::Connection { tries: self.attempt, reason }),
            Err(_) => return Next::Again(self.pause()),
            Ok(reply) => reply,
        };
        // A 404 to a repeated DELETE: an earlier try has deleted it, and its answer was lost.
        if reply.status < 400 || (method == "DELETE" && reply.status == 404 && self.attempt > 1) {
            return Next::Done(reply);
        }
        let failure = ApiError::of(&reply);
        if last || !matches!(reply.status, 429 | 503) {
            return Next::Fail(Error::Api(Box::new(failure)));
        }
        Next::Again(self.pause().max(failure.retry_after.unwrap_or_default()))
    }

    /// 0.1 s, 0.2 s, ... up to 5 s, half of it by chance.
    fn pause(&self) -> Duration {
        let whole = (0.05 * f64::from(2u32.saturating_pow(self.attempt))).min(5.0);
        Duration::from_secs_f64(whole * (0.5 + 0.5 * (random_u64() as f64 / u64::MAX as f64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16) -> Result<Reply, String> {
        Ok(Reply { status, headers: Vec::new(), body: Vec::new() })
    }

    #[test]
    fn events_are_read_line_by_line() {
        let mut parser = EventParser::default();
        for line in ["id: 7", "event: progress", ": a comment", "data: {\"epoch\":", "data: 3}"] {
            assert_eq!(parser.line(line), None);
        }
        let event = parser.line("").unwrap();
        assert_eq!((event.id.as_str(), event.kind.as_str(), &event.data["epoch"]), ("7", "progress", &json!(3)));
        assert_eq!(parser.line(""), None);
    }

    #[test]
    fn what_is_tried_again() {
        assert!(matches!(Retry::new(2).after("POST", Err("lost".into())), Next::Again(_)));
        assert!(matches!(Retry::new(1).after("POST", Err("lost".into())), Next::Fail(Error::Connection { .. })));
        assert!(matches!(Retry::new(2).after("POST", reply(503)), Next::Again(_)));
        assert!(matches!(Retry::new(2).after("POST", reply(422)), Next::Fail(Error::Api(_))));
        let mut retry = Retry::new(3);
        assert!(matches!(retry.after("DELETE", Err("lost".into())), Next::Again(_)));
        assert!(matches!(retry.after("DELETE", reply(404)), Next::Done(_)));
    }

    #[test]
    fn a_segment_hides_what_has_a_meaning() {
        assert_eq!(segment("a/b?c é"), "a%2Fb%3Fc%20%C3%A9");
    }
}
