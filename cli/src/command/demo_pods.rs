//! The programs that the demo's Jobs run: hidden subcommands.

use std::fs;

use anyhow::Context as _;

use super::print::out;
use crate::args::{DemoCountArgs, DemoMergeArgs};
use crate::demo::count::{share, share_file, write_whole};
use crate::demo::merge::Total;
use crate::exit::{Exit, Expected};

/// Counts one share into one file.
pub(super) fn count(args: &DemoCountArgs) -> anyhow::Result<Exit> {
    let marker = args.out.join("stumbled");
    if args.stumble == Some(args.share) && !marker.exists() {
        fs::write(&marker, "").context("noting that it stumbled")?;
        let what =
            format!("share {} fails on purpose, once: watch it being tried again", args.share);
        return Err(Expected::new(Exit::NotFound, what).into());
    }
    let counts = share(&args.root, args.share, args.of)
        .with_context(|| format!("counting share {} under {}", args.share, args.root.display()))?;
    write_whole(&share_file(&args.out, args.share), &counts).context("writing the result")?;
    eprintln!("share {}: {} crates", args.share, counts.len());
    Ok(Exit::Success)
}

/// Merges all shares into one file, and prints them as a table.
pub(super) fn merge(args: &DemoMergeArgs) -> anyhow::Result<Exit> {
    let total = Total::read_shares(&args.out, args.of).context("reading the shares")?;
    write_whole(&args.out.join("total.json"), &total).context("writing the result")?;
    out(&total.render())?;
    Ok(Exit::Success)
}
