//! `stint results`: what a Job's pods left as their termination messages.

use super::logs::pods_of;
use super::print::out;
use super::session::Session;
use crate::args::{ResultsArgs, ResultsForm};
use crate::exit::{Exit, Expected};
use crate::output::count::counted;
use crate::output::job::JobView;
use crate::output::results::{Results, json, table};
use crate::resource::{Resource, job_name};

pub(super) async fn run(args: ResultsArgs) -> anyhow::Result<Exit> {
    let usage = |error| Expected::usage("whose results").because(anyhow::Error::new(error));
    let name = job_name(&args.job).map_err(usage)?;
    let session = Session::open(&args.connect).await?;
    let job = session.get(Resource::Jobs, &name).await?;
    let (pods, _watch) = session.client.watch(pods_of(&session, &job)).await?;
    let results = Results::of(&pods, args.container.as_deref());
    if results.without > 0 {
        let (without, name) = (counted(results.without, "succeeded pod"), JobView(&job).name());
        eprintln!("{without} of job/{name} left nothing in $STINT_TERMINATION_LOG");
    }
    out(&match args.output {
        ResultsForm::Json => json(&results),
        ResultsForm::Table => table(&results),
    })?;
    Ok(Exit::Success)
}
