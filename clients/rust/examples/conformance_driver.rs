//! The conformance driver of the blocking client.

mod driver;

use descent_client::blocking::{Client, Session};
use descent_client::Error;
use serde_json::{json, Value};

fn run_job(client: &Client, spec: &Value) -> Result<Value, Error> {
    let job = client.submit(spec)?;
    let kinds = job.events().map(|event| event.map(|e| e.kind)).collect::<Result<Vec<_>, _>>()?;
    Ok(driver::finished(&job.info()?, &kinds))
}

fn answer(client: &Client, session: &mut Option<Session>, command: Value) -> Result<Value, Error> {
    if driver::text(&command, "op") == "run_job" {
        return run_job(client, &command["spec"]);
    }
    Ok(obey!(client, session, command))
}

fn main() {
    let client = Client::from_environment().unwrap();
    let mut session = None;
    for line in std::io::stdin().lines() {
        let command = serde_json::from_str(&line.unwrap()).unwrap();
        println!("{}", answer(&client, &mut session, command).unwrap_or_else(driver::failure));
    }
}
