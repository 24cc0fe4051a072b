//! A client for Descent, the server of learned optimizers.
//!
//! ```no_run
//! use descent_client::blocking::Client;
//! # fn gradient(theta: &[f32]) -> Vec<f32> { theta.to_vec() }
//! # fn main() -> Result<(), descent_client::Error> {
//! let mut theta = vec![1.0f32; 10];
//! let client = Client::from_environment()?;
//! let mut session = client.session("adam", &serde_json::json!({"coordinates": theta.len()}))?;
//! for _ in 0..100 {
//!     let update = session.update(&gradient(&theta), None)?;
//!     theta.iter_mut().zip(update).for_each(|(x, g)| *x += g);
//! }
//! # Ok(()) }
//! ```
//!
//! A lost connection, an answer that does not come in time and a 429 or 503 lead to another try, which is safe: an
//! update carries its step number, a POST that creates an Idempotency-Key.
//!
//! Features: `blocking` (default, over ureq) and `async` (over reqwest and tokio), with the same methods in both.

mod error;
mod options;
mod protocol;

#[cfg(feature = "async")]
pub mod asynchronous;
#[cfg(feature = "blocking")]
pub mod blocking;

pub use error::{ApiError, Error};
pub use options::Options;
pub use protocol::{Event, SessionState};
