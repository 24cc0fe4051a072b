//! The conformance driver of the async client.

mod driver;

use descent_client::asynchronous::{Client, Session};
use descent_client::Error;
use serde_json::{json, Value};

async fn run_job(client: &Client, spec: &Value) -> Result<Value, Error> {
    let job = client.submit(spec).await?;
    let (mut events, mut kinds) = (job.events(), Vec::new());
    while let Some(event) = events.next().await? {
        kinds.push(event.kind);
    }
    Ok(driver::finished(&job.info().await?, &kinds))
}

async fn answer(client: &Client, session: &mut Option<Session>, command: Value) -> Result<Value, Error> {
    if driver::text(&command, "op") == "run_job" {
        return run_job(client, &command["spec"]).await;
    }
    Ok(obey!(client, session, command, . await))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let client = Client::from_environment().unwrap();
    let mut session = None;
    for line in std::io::stdin().lines() {
        let command = serde_json::from_str(&line.unwrap()).unwrap();
        println!("{}", answer(&client, &mut session, command).await.unwrap_or_else(driver::failure));
    }
}
