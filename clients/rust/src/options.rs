//! Where the server is and how patient to be.

use crate::error::Error;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Options {
    pub url: String,
    pub key: Option<String>,
    /// Of one try.
    pub timeout: Duration,
    /// How often one request is tried.
    pub attempts: u32,
}

impl Options {
    /// DESCENT_URL (else http://127.0.0.1:8080), DESCENT_API_KEY or the file that DESCENT_API_KEY_FILE names,
    /// DESCENT_TIMEOUT_SECONDS (else 60).
    pub fn from_environment() -> Result<Self, Error> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let seconds = variable("DESCENT_TIMEOUT_SECONDS").unwrap_or_else(|| "60".into());
        let seconds: f64 = seconds
            .parse()
            .ok()
            .filter(|s| *s > 0.0 && *s < 1e9)
            .ok_or_else(|| Error::Argument(format!("DESCENT_TIMEOUT_SECONDS is {seconds:?}")))?;
        let key = match (variable("DESCENT_API_KEY"), variable("DESCENT_API_KEY_FILE")) {
            (None, Some(path)) => Some(read_key(&path)?),
            (key, _) => key,
        };
        Ok(Options {
            url: variable("DESCENT_URL").unwrap_or_else(|| "http://127.0.0.1:8080".into()),
            key,
            timeout: Duration::from_secs_f64(seconds),
            attempts: 8,
        })
    }

    pub(crate) fn base(&self) -> String {
        self.url.trim_end_matches('/').to_string()
    }
}

fn read_key(path: &str) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::Argument(format!("the key in {path}: {e}")))?;
    Ok(text.trim().to_string())
}
