//! What both conformance drivers share: JSON commands in, JSON answers out (see ../../../conformance/README.md).

use base64::Engine;
use descent_client::{Error, SessionState};
use serde_json::{json, Value};
use sha2::Digest;

pub fn floats(words: &Value) -> Vec<f32> {
    let bits = |word: &Value| u32::from_str_radix(word.as_str().unwrap(), 16).unwrap();
    words.as_array().unwrap().iter().map(|word| f32::from_bits(bits(word))).collect()
}

pub fn words(update: &[f32]) -> Value {
    update.iter().map(|x| format!("{:08x}", x.to_bits())).collect()
}

pub fn at(session: &SessionState) -> Value {
    json!({"session": session.id, "step": session.step, "coordinates": session.coordinates})
}

pub fn file(command: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(text(command, "file")).unwrap()
}

pub fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn text<'a>(command: &'a Value, name: &str) -> &'a str {
    command[name].as_str().unwrap_or_default()
}

pub fn config(command: &Value) -> Option<&Value> {
    command.get("config").filter(|config| !config.is_null())
}

pub fn names(items: &[Value]) -> Value {
    let mut names: Vec<&str> = items.iter().map(|item| text(item, "name")).collect();
    names.sort();
    json!({"names": names})
}

pub fn finished(info: &Value, kinds: &[String]) -> Value {
    json!({"state": info["state"], "result": info["result"], "first": kinds.first(), "last": kinds.last()})
}

pub fn failure(error: Error) -> Value {
    match error {
        Error::Api(refused) => json!({"error": refused.code, "status": refused.status}),
        Error::Connection { .. } => json!({"error": "connection_failed"}),
        other => panic!("{other}"),
    }
}

/// The commands, for the blocking client with `obey!(client, session, command)`, for the other with `.await` after it.
#[macro_export]
macro_rules! obey {
    ($client:ident, $slot:ident, $command:ident $(, $($await:tt)+)?) => {{
        let command = &$command;
        let session = $slot.as_mut();
        match driver::text(command, "op") {
            "create" => {
                let mut settings = command["settings"].clone();
                let optimizer = settings["optimizer"].take();
                settings.as_object_mut().unwrap().remove("optimizer");
                let made = $client.session(optimizer.as_str().unwrap(), &settings)$($($await)+)??;
                let answer = driver::at(&made);
                *$slot = Some(made);
                answer
            }
            "resume" => {
                let id = session.unwrap().id.clone();
                let found = $client.resume(&id)$($($await)+)??;
                let answer = driver::at(&found);
                *$slot = Some(found);
                answer
            }
            "update" => {
                let session = session.unwrap();
                session.step = command["step"].as_u64().unwrap_or(session.step);
                let gradient = driver::floats(&command["gradient"]);
                let update = session.update(&gradient, command["loss"].as_f64())$($($await)+)??;
                json!({"update": driver::words(&update), "step": session.step, "replayed": session.replayed})
            }
            "reset" => {
                let session = session.unwrap();
                session.reset()$($($await)+)??;
                driver::at(session)
            }
            "checkpoint" => {
                session.unwrap().checkpoint(driver::text(command, "name"))$($($await)+)??;
                json!({})
            }
            "restore" => {
                let session = session.unwrap();
                session.restore(driver::text(command, "checkpoint"))$($($await)+)??;
                driver::at(session)
            }
            "fork" => {
                let made = session.unwrap().fork(command["checkpoint"].as_str())$($($await)+)??;
                let answer = driver::at(&made);
                *$slot = Some(made);
                answer
            }
            "delete" => {
                session.unwrap().delete()$($($await)+)??;
                json!({})
            }
            "create_optimizer" => {
                let (name, family) = (driver::text(command, "name"), driver::text(command, "family"));
                let made = $client.create_optimizer(name, family, driver::config(command))$($($await)+)??;
                json!({"name": made["name"], "latest_version": made["latest_version"]})
            }
            "optimizers" => driver::names(&$client.optimizers()$($($await)+)??),
            "upload" => {
                let made = $client.upload(driver::text(command, "name"), &driver::file(command))$($($await)+)??;
                json!({"version": made["version"]})
            }
            "download" => {
                let version = command["version"].as_u64().unwrap();
                let file = $client.download(driver::text(command, "name"), version)$($($await)+)??;
                json!({"sha256": driver::sha256(&file)})
            }
            other => panic!("unknown operation {other:?}"),
        }
    }};
}
