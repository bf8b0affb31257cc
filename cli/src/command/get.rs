//! `stint get`.

use serde_json::Value;
use stint_common::time::now;

use super::print::out;
use super::session::Session;
use crate::args::{Format, GetArgs};
use crate::client::{Call, Event, Watch};
use crate::exit::{Exit, Expected};
use crate::output::objects::{self, Columns};
use crate::output::table::Table;
use crate::resource::Resource;
use crate::signals::Interrupts;

pub(super) async fn run(args: GetArgs) -> anyhow::Result<Exit> {
    let (resource, names) = what(&args)?;
    let session = Session::open(&args.connect).await?;
    let session = if args.all_namespaces { session.everywhere() } else { session };
    let columns = Columns {
        resource,
        wide: args.output.output == Format::Wide,
        namespace: args.all_namespaces,
    };
    let view = View { format: args.output.output, columns, table: Table::default() };
    if names.is_empty() || args.watch {
        return many(&session, &args, &names, view).await;
    }
    let mut items = Vec::new();
    for name in &names {
        items.push(session.get(resource, name).await?);
    }
    view.named(&items)
}

/// `job a b`, `jobs`, `job/a`.
fn what(args: &GetArgs) -> anyhow::Result<(Resource, Vec<String>)> {
    let usage = |error| Expected::usage("what is to be shown").because(anyhow::Error::new(error));
    let (kind, mut names) = match args.resource.split_once('/') {
        Some((kind, name)) => (kind, vec![name.to_owned()]),
        None => (args.resource.as_str(), Vec::new()),
    };
    names.extend(args.names.iter().cloned());
    if args.all_namespaces && !names.is_empty() {
        return Err(
            Expected::usage("a name belongs to one namespace: leave out -A, or the name").into()
        );
    }
    if args.watch && names.len() > 1 {
        return Err(
            Expected::usage("--watch shows one object, or all that a selector finds").into()
        );
    }
    Ok((Resource::parse(kind).map_err(usage)?, names))
}

struct View {
    format: Format,
    columns: Columns,
    table: Table,
}

impl View {
    /// Objects that were asked for by name; one of them alone is not a list.
    fn named(mut self, items: &[Value]) -> anyhow::Result<Exit> {
        let structured = matches!(self.format, Format::Json | Format::Yaml);
        match items {
            [object] if structured => out(&objects::structured(self.format, object))?,
            items => self.list(items)?,
        }
        Ok(Exit::Success)
    }

    fn list(&mut self, items: &[Value]) -> std::io::Result<()> {
        out(&objects::list(self.format, self.columns, items, now(), &mut self.table))
    }

    fn change(&mut self, object: &Value) -> std::io::Result<()> {
        out(&match self.format {
            Format::Table | Format::Wide => self.table.more(&self.columns.row(object, now())),
            Format::Json => format!("{object}\n"),
            Format::Yaml => format!("---\n{}", objects::yaml(object)),
            Format::Name => objects::name_line(self.columns.resource, object),
        })
    }
}

async fn many(
    session: &Session,
    args: &GetArgs,
    names: &[String],
    mut view: View,
) -> anyhow::Result<Exit> {
    let mut fields: Vec<String> = args.field_selector.iter().cloned().collect();
    fields.extend(names.iter().map(|name| format!("metadata.name={name}")));
    let list = list_call(session, args, &view).option("fieldSelector", fields.join(","));
    let (items, watch) = session.client.watch(list).await?;
    if items.is_empty() && !args.watch && matches!(view.format, Format::Table | Format::Wide) {
        eprintln!("no {} found in {}", view.columns.resource, place(session));
        return Ok(Exit::Success);
    }
    view.list(&items)?;
    if args.watch { follow(watch, view).await } else { Ok(Exit::Success) }
}

fn list_call(session: &Session, args: &GetArgs, view: &View) -> Call {
    let call = session.call("list", view.columns.resource);
    call.option("labelSelector", args.selector.as_deref().unwrap_or_default())
}

fn place(session: &Session) -> String {
    match session.namespace.as_str() {
        stint_common::names::ALL_NAMESPACES => "any namespace".to_owned(),
        namespace => format!("namespace {namespace}"),
    }
}

/// Shows changes until the user has enough.
async fn follow(mut watch: Watch, mut view: View) -> anyhow::Result<Exit> {
    let mut interrupts = Interrupts::listen()?;
    loop {
        let event = tokio::select! {
            event = watch.next() => event?,
            () = interrupts.next() => return Ok(Exit::Interrupted),
        };
        match event {
            Event::Added(object) | Event::Modified(object) | Event::Deleted(object) => {
                view.change(&object)?;
            }
            Event::Relisted(items) => {
                for object in &items {
                    view.change(object)?;
                }
            }
        }
    }
}
