//! `stint doctor`: asks NATS, JetStream, the coordinators and the API how they are.

mod monitor;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stint_common::names::{ALL_NAMESPACES, Names};
use stint_common::time::{now, since};

use super::print::out;
use super::session::Session;
use crate::args::{DoctorArgs, DoctorForm};
use crate::client::Call;
use crate::exit::Exit;
use crate::output::doctor::{Seen, judge};
use crate::output::style::Style;

/// Coordinators that live answer a ping within this time.
const PINGS: Duration = Duration::from_millis(700);

pub(super) async fn run(args: DoctorArgs) -> anyhow::Result<Exit> {
    let session = Session::open(&args.connect).await?;
    let mut seen = look(&session).await;
    if let Some(url) = &args.monitor {
        seen.monitor = Some(monitor::read(url).await);
    }
    let report = judge(&seen, now());
    out(&match args.output {
        DoctorForm::Text => report.render(Style::of_stdout()),
        DoctorForm::Json => report.json(),
    })?;
    Ok(if report.is_bad() { Exit::Unwell } else { Exit::Success })
}

async fn look(session: &Session) -> Seen {
    let client = &session.client;
    let names = Names::default();
    let start = Instant::now();
    let account = client.ask_jetstream("INFO", &Value::Null).await;
    let round_trip = start.elapsed();
    let mut streams = Vec::new();
    let mut skew_ms = None;
    for name in [
        names.objects_stream(),
        names.work_stream(),
        names.pods_stream(),
        names.logs_stream(),
        names.events_stream(),
    ] {
        let (before, start) = (now(), Instant::now());
        let info = client.ask_jetstream(&format!("STREAM.INFO.{name}"), &Value::Null).await;
        if let Ok(info) = &info {
            // The server took its time about half way.
            let here = before + start.elapsed() / 2;
            let there = info["ts"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            skew_ms = there.map(|at| at.as_millisecond() - here.as_millisecond()).or(skew_ms);
        }
        streams.push((name, info));
    }
    Seen {
        url: client.url().to_owned(),
        server_version: client.server_version(),
        round_trip,
        account,
        consumers: consumers(session, &names).await,
        owner: owner(session, &names, skew_ms.unwrap_or(0)).await,
        coordinators: client.ping_service(names.prefix(), PINGS).await,
        api: api(session).await,
        nodes: nodes(session).await,
        streams,
        skew_ms,
        monitor: None,
        own_version: env!("CARGO_PKG_VERSION"),
    }
}

async fn consumers(session: &Session, names: &Names) -> Result<Vec<Value>, String> {
    let mut found = Vec::new();
    loop {
        let operation = format!("CONSUMER.LIST.{}", names.work_stream());
        let body = json!({"offset": found.len()});
        let mut page = session.client.ask_jetstream(&operation, &body).await?;
        let total = page["total"].as_u64().unwrap_or(0);
        let more = page["consumers"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let is_last = more.is_empty();
        found.extend(more);
        if is_last || u64::try_from(found.len()).unwrap_or(u64::MAX) >= total {
            return Ok(found);
        }
    }
}

/// The owner's lease, and for how long it has not been renewed.
async fn owner(
    session: &Session,
    names: &Names,
    skew_ms: i64,
) -> Result<Option<(Value, Duration)>, String> {
    let operation = format!("STREAM.MSG.GET.{}", names.objects_stream());
    let body = json!({"last_by_subj": names.owner_lease()});
    let answer = match session.client.ask_jetstream(&operation, &body).await {
        Ok(answer) => answer,
        Err(why) if why.contains("no message found") => return Ok(None),
        Err(why) => return Err(why),
    };
    let message = &answer["message"];
    let lease = decode(message["data"].as_str().unwrap_or_default())
        .ok_or_else(|| "it is not what a lease looks like".to_owned())?;
    let stored: Option<jiff::Timestamp> =
        message["time"].as_str().and_then(|time| time.parse().ok());
    let there = now() + jiff::SignedDuration::from_millis(skew_ms);
    Ok(stored.map(|stored| (lease, since(there, stored))))
}

/// A message's bytes, as JetStream's API has them.
fn decode(data: &str) -> Option<Value> {
    serde_json::from_slice(&STANDARD.decode(data).ok()?).ok()
}

async fn api(session: &Session) -> Result<Duration, String> {
    let start = Instant::now();
    let call = Call::new("list", "jobs", &session.namespace).option("limit", 1);
    match session.client.request(&call).await {
        Ok(_) => Ok(start.elapsed()),
        Err(error) => Err(error.to_string()),
    }
}

async fn nodes(session: &Session) -> Vec<Value> {
    let call = Call::new("list", "nodes", ALL_NAMESPACES);
    session.list(call, 0).await.unwrap_or_default()
}
