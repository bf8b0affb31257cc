//! Kinds of which there are never any: clients of Kubernetes list them all the same, to see whether
//! something is there.

use serde_json::{Value, json};

use super::Error;
use super::error::Resource;
use super::options::Options;
use super::store::Registry;
use super::watch::{Beginning, WatchStream, bookmark, quiet};

impl Registry {
    /// A list of none.
    #[must_use]
    pub fn list_none(&self, about: Resource, api_version: &str) -> Value {
        json!({
            "apiVersion": api_version,
            "kind": format!("{}List", about.kind),
            "metadata": {"resourceVersion": self.replica.applied().to_string()},
            "items": [],
        })
    }

    /// A watch in which nothing happens.
    #[must_use]
    pub fn watch_none(&self, about: Resource, api_version: &str, options: &Options) -> WatchStream {
        let mark = Beginning::of(options).with_mark;
        let mark = mark.then(|| bookmark(api_version, about.kind, self.replica.applied(), true));
        quiet(options, mark.into_iter().collect())
    }

    /// That there is none of a name.
    ///
    /// # Errors
    ///
    /// 404 always.
    pub fn get_none(&self, about: Resource, name: &str) -> Result<Value, Error> {
        Err(Error::NotFound { resource: about, name: name.to_owned() })
    }
}
