//! A connection for one command: the namespace it looks in, warnings shown to the user.

use serde_json::Value;
use stint_common::config::Auth;
use stint_common::names::ALL_NAMESPACES;

use crate::args::{ConnectArgs, NatsArgs};
use crate::client::{Call, Client, Error, Flags, PAGE, Watch, resolve};
use crate::resource::Resource;
use crate::{config_file, paths};

/// A connection and a namespace.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl Session {
    pub(super) async fn open(args: &ConnectArgs) -> Result<Self, Error> {
        let file = config_file::load().map_err(Error::ConfigFile)?;
        let flags = flags(args.nats.clone()).or(&file);
        let settings = resolve(flags, paths::config_home().as_deref(), "stint")?;
        let client = Client::connect(&settings).await?;
        Ok(Self { client, namespace: args.namespace.clone() })
    }

    /// The same connection, looking in all namespaces.
    pub(super) fn everywhere(self) -> Self {
        Self { namespace: ALL_NAMESPACES.to_owned(), ..self }
    }

    /// The same connection, looking where an object says that it is, if it does.
    pub(super) fn in_namespace(&self, namespace: Option<&str>) -> Self {
        let namespace = namespace.unwrap_or(&self.namespace).to_owned();
        Self { client: self.client.clone(), namespace }
    }

    pub(super) fn call(&self, verb: &'static str, resource: Resource) -> Call {
        let namespace = if resource.is_namespaced() { &*self.namespace } else { ALL_NAMESPACES };
        Call::new(verb, resource.plural(), namespace)
    }

    /// Asks, and shows the user what the server warns of.
    pub(super) async fn request(&self, call: &Call) -> Result<Value, Error> {
        let reply = self.client.request(call).await?;
        for warning in &reply.warnings {
            eprintln!("warning: {warning}");
        }
        Ok(reply.object)
    }

    pub(super) async fn get(&self, resource: Resource, name: &str) -> Result<Value, Error> {
        self.request(&self.call("get", resource).name(name)).await
    }

    /// All that there is now of one name (one object or none), and what becomes of it.
    pub(super) async fn watch_one(
        &self,
        resource: Resource,
        name: &str,
    ) -> Result<(Option<Value>, Watch), Error> {
        let list =
            self.call("list", resource).option("fieldSelector", format!("metadata.name={name}"));
        let (mut items, watch) = self.client.watch(list).await?;
        Ok((items.pop(), watch))
    }

    /// Objects of a list, page after page, of at most so many pages.
    pub(super) async fn list_pages(
        &self,
        list: Call,
        page: usize,
        most: usize,
    ) -> Result<Vec<Value>, Error> {
        let mut found = Vec::new();
        self.each_page(list, page, most, |items| found.extend(items)).await?;
        Ok(found)
    }

    /// Goes through a list page by page, for at most so many pages: so little is kept of it as
    /// `take` keeps.
    pub(super) async fn each_page(
        &self,
        list: Call,
        page: usize,
        most: usize,
        mut take: impl FnMut(Vec<Value>),
    ) -> Result<(), Error> {
        let mut next = String::new();
        for _ in 0..most {
            let call = list.clone().option("limit", page).option("continue", &next);
            let mut page = self.request(&call).await?;
            take(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
            match page["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => token.clone_into(&mut next),
                _ => break,
            }
        }
        Ok(())
    }

    /// Objects of a list, at most `limit`; 0 for all.
    pub(super) async fn list(&self, list: Call, limit: usize) -> Result<Vec<Value>, Error> {
        if limit == 0 {
            return self.list_pages(list, PAGE, usize::MAX).await;
        }
        let mut page = self.request(&list.option("limit", limit)).await?;
        Ok(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }
}

/// What the command line and the environment say of NATS.
pub(super) fn flags(args: NatsArgs) -> Flags {
    let password = args.password.unwrap_or_default();
    let auth = args.creds.map(Auth::Creds);
    Flags {
        url: args.nats.or(args.nats_url),
        context: args.context,
        auth: auth.or_else(|| args.user.map(|user| Auth::Password(user, password))),
        ca: args.ca,
        certificate: args.cert.zip(args.key),
        inbox_prefix: args.inbox_prefix,
    }
}
