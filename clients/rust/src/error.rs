//! What can go wrong.

use crate::protocol::Reply;
use serde_json::Value;
use std::{fmt, time::Duration};

/// The server's problem+json. Decide by `code`, a constant such as `step_gap`; the sentence is for people.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub status: u16,
    pub code: String,
    pub detail: String,
    pub request_id: String,
    pub retryable: bool,
    pub retry_after: Option<Duration>,
    /// The whole problem, with `errors` for the fields of a body.
    pub problem: Value,
}

impl ApiError {
    pub(crate) fn of(reply: &Reply) -> Self {
        let problem: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        let text = |name: &str| problem[name].as_str().unwrap_or_default().to_string();
        ApiError {
            status: reply.status,
            code: text("code"),
            detail: text("detail"),
            request_id: text("request_id"),
            retryable: problem["retryable"].as_bool().unwrap_or(false),
            retry_after: reply.header("Retry-After").and_then(|t| t.parse().ok()).map(Duration::from_secs),
            problem,
        }
    }
}

#[derive(Debug)]
pub enum Error {
    /// The server refused.
    Api(Box<ApiError>),
    /// No answer came, however often it was tried.
    Connection { tries: u32, reason: String },
    /// A job ended otherwise than by success: all that the server says of it.
    Job(Value),
    /// An argument that makes no sense; nothing was sent.
    Argument(String),
    /// The answer is none of Descent's.
    Protocol(String),
}

impl Error {
    /// The server's code, or "" when it is not the server that refused.
    pub fn code(&self) -> &str {
        match self {
            Error::Api(e) => &e.code,
            _ => "",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Api(e) if e.code.is_empty() => write!(f, "{}: {}", e.status, e.detail),
            Error::Api(e) => write!(f, "{}: {}", e.code, e.detail),
            Error::Connection { tries, reason } => write!(f, "no answer in {tries} tries: {reason}"),
            Error::Job(info) => write!(f, "job {} {}: {}", info["id"], info["state"], info["error"]),
            Error::Argument(text) | Error::Protocol(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
