//! `stint events`.

use serde_json::Value;
use stint_common::time::now;

use super::print::out;
use super::session::Session;
use crate::args::{EventType, EventsArgs, Format};
use crate::client::{Event, Watch};
use crate::exit::{Exit, Expected};
use crate::output::events::in_order;
use crate::output::objects::{self, Columns};
use crate::output::table::Table;
use crate::resource::{Resource, parse_targets};
use crate::signals::Interrupts;

pub(super) async fn run(args: EventsArgs) -> anyhow::Result<Exit> {
    let fields = fields(&args)?;
    let session = Session::open(&args.connect).await?;
    let session = if args.all_namespaces { session.everywhere() } else { session };
    let list = session.call("list", Resource::Events).option("fieldSelector", fields.join(","));
    let (mut events, watch) = session.client.watch(list).await?;
    in_order(&mut events);
    let columns = Columns {
        resource: Resource::Events,
        wide: args.output == Format::Wide,
        namespace: args.all_namespaces,
    };
    let mut table = Table::default();
    if events.is_empty() && !args.follow && matches!(args.output, Format::Table | Format::Wide) {
        eprintln!("no such events: they go after a day");
        return Ok(Exit::Success);
    }
    out(&objects::list(args.output, columns, &events, now(), &mut table))?;
    if args.follow { follow(watch, columns, args.output, table).await } else { Ok(Exit::Success) }
}

fn fields(args: &EventsArgs) -> anyhow::Result<Vec<String>> {
    let mut fields = Vec::new();
    if let Some(about) = &args.about {
        let word = if about.contains('/') { about.clone() } else { format!("job/{about}") };
        let targets = parse_targets(&[word])
            .map_err(|error| Expected::usage("about what").because(anyhow::Error::new(error)))?;
        for (resource, name) in targets {
            fields.push(format!("involvedObject.kind={}", resource.kind()));
            fields.push(format!("involvedObject.name={name}"));
        }
    }
    fields.extend(args.kind.map(|kind| match kind {
        EventType::Normal => "type=Normal".to_owned(),
        EventType::Warning => "type=Warning".to_owned(),
    }));
    Ok(fields)
}

async fn follow(
    mut watch: Watch,
    columns: Columns,
    format: Format,
    mut table: Table,
) -> anyhow::Result<Exit> {
    let mut interrupts = Interrupts::listen()?;
    let mut show = |event: &Value| {
        out(&match format {
            Format::Table | Format::Wide => table.more(&columns.row(event, now())),
            Format::Json => format!("{event}\n"),
            Format::Yaml => format!("---\n{}", objects::yaml(event)),
            Format::Name => objects::name_line(columns.resource, event),
        })
    };
    loop {
        let event = tokio::select! {
            event = watch.next() => event?,
            () = interrupts.next() => return Ok(Exit::Interrupted),
        };
        match event {
            Event::Added(event) | Event::Modified(event) => show(&event)?,
            // They went with time.
            Event::Deleted(_) => {}
            Event::Relisted(events) => events.iter().try_for_each(&mut show)?,
        }
    }
}
