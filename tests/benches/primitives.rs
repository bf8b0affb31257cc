//! Unit costs of the JetStream primitives: pipelined compare-and-set writes, atomic batches, tails.
//!
//! `cargo bench -p stint-tests --bench primitives -- nats://127.0.0.1:4222`

use std::time::Instant;

use stint_common::config::NatsConfig;
use stint_common::nats::{
    Committer, Expect, Jet, StreamLimits, Tail, TailEvent, Write, ensure_streams,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().find(|argument| argument.starts_with("nats://"));
    let Some(url) = url else {
        println!("no server given: pass nats://HOST:PORT");
        return Ok(());
    };
    let mut jet = Jet::connect(&NatsConfig::new(&url, "bench")).await?;
    ensure_streams(&jet, &StreamLimits::default()).await?;
    for atomic in [false, true] {
        jet.atomic_batches = atomic;
        let committer = Committer::start(jet.clone(), jet.names.pods_stream());
        for size in [1, 10, 100, 500] {
            let total = if size == 1 { 2_000 } else { 40_000 };
            let id = stint_common::id::JobUid::random();
            let start = Instant::now();
            let mut tasks = Vec::new();
            for lane in 0..4 {
                let (committer, names) = (committer.clone(), jet.names.clone());
                tasks.push(tokio::spawn(async move {
                    for round in 0..total / size / 4 {
                        let writes = (0..size)
                            .map(|number| Write {
                                subject: format!(
                                    "{}.pod.0.{id}.{lane}.{}",
                                    names.prefix(),
                                    round * size + number
                                ),
                                payload: vec![b'x'; 300].into(),
                                expect: Expect::Sequence(0),
                            })
                            .collect();
                        let outcomes = committer.write_all(writes).await;
                        assert!(
                            outcomes.iter().all(|outcome| outcome.stored().is_some()),
                            "{outcomes:?}"
                        );
                    }
                }));
            }
            for task in tasks {
                task.await?;
            }
            let rate = f64::from(total) / start.elapsed().as_secs_f64();
            println!("atomic {atomic:5}  groups of {size:4} x 4 writers: {rate:10.0} writes/s");
        }
    }
    let start = Instant::now();
    let mut tail = Tail::start(jet.clone(), jet.names.pods_stream(), vec![jet.names.pods(None)]);
    let mut count = 0;
    while let Some(event) = tail.next().await {
        match event {
            TailEvent::Entries(entries) => count += entries.len(),
            TailEvent::Resumed(_) => {}
            TailEvent::CaughtUp | TailEvent::WentBack => break,
        }
    }
    println!(
        "tail: {count} entries at {:.0}/s",
        f64::from(u32::try_from(count)?) / start.elapsed().as_secs_f64()
    );
    Ok(())
}
