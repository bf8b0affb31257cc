//! Who asks, and what they may: certificates, tokens and roles from a file, or everybody everything
//! where that is configured (`stint dev`, on loopback).

mod file;
pub(super) mod reviews;
mod roles;

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Method};

use super::route::Target;
use super::tls::Peer;
use crate::api::resources::Verb;
use crate::registry::Error;

pub use file::{AccessError, AccessFile};
use roles::{Question, Roles};

/// How clients are told apart.
#[derive(Debug)]
pub enum Access {
    /// They are not: whoever reaches the address may do everything.
    Everybody,
    /// By their certificates, and the tokens of a file, which says what they may, too.
    File(AccessFile),
}

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    /// `metadata.name` of nobody: a name for messages and reviews.
    pub(super) name: String,
    /// What they belong to.
    pub(super) groups: Vec<String>,
    /// What they may.
    roles: Roles,
}

/// Who everybody is where nobody is told apart.
const ANYBODY: &str = "stint:anybody";
/// A group of all who have said who they are, as in Kubernetes.
const AUTHENTICATED: &str = "system:authenticated";

impl Access {
    /// Who asks.
    ///
    /// # Errors
    ///
    /// 401 when they do not say so, or nobody has such a token.
    pub(super) async fn user(
        &self,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<User, Error> {
        match self {
            Self::Everybody => Ok(User {
                name: ANYBODY.to_owned(),
                groups: vec!["system:masters".to_owned(), AUTHENTICATED.to_owned()],
                roles: Roles::everything(),
            }),
            Self::File(file) => {
                let known = file.current().await;
                // A token says who speaks, a certificate who is connected.
                let (name, mut groups) = match (bearer(headers), peer) {
                    (Some(token), _) => {
                        let user = known.by_token(token).ok_or(Error::Unauthorized)?;
                        (user.name.clone(), user.groups.clone())
                    }
                    (None, Some(peer)) => (peer.name.clone(), peer.groups.clone()),
                    (None, None) => return Err(Error::Unauthorized),
                };
                groups.push(AUTHENTICATED.to_owned());
                let roles = known.roles_of(&name, &groups);
                Ok(User { name, groups, roles })
            }
        }
    }

    /// Whether who reaches the address may do everything.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Everybody)
    }
}

impl User {
    /// Whether they may do this.
    fn may(&self, question: &Question<'_>) -> bool {
        self.roles.allow(question)
    }

    /// Whether they may look at what is no object.
    ///
    /// # Errors
    ///
    /// 403 when they may not.
    pub(super) fn check_path(&self, path: &str, method: &Method) -> Result<(), Error> {
        let verb = method.as_str().to_ascii_lowercase();
        if self.roles.allow_path(&verb, path) {
            return Ok(());
        }
        let reason = format!("User {:?} cannot {verb} path {path:?}", self.name);
        Err(Error::ForbiddenPath { reason })
    }

    /// Whether they may do what is asked for.
    ///
    /// # Errors
    ///
    /// 403 when they may not.
    pub(super) fn check(&self, target: &Target, verb: Verb) -> Result<(), Error> {
        let about = target.resource.about;
        let part = target.part.map(|part| part.name());
        let question = Question {
            verb: verb.name(),
            resource: about.plural,
            part: part.unwrap_or_default(),
            namespace: target.namespace.as_deref().unwrap_or_default(),
        };
        if self.may(&question) {
            return Ok(());
        }
        let part = part.map(|part| format!("/{part}")).unwrap_or_default();
        let place = match target.namespace.as_deref() {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_owned(),
        };
        let reason = format!(
            "User {:?} cannot {} resource \"{}{part}\" in API group {:?} {place}",
            self.name,
            verb.name(),
            about.plural,
            about.group
        );
        let name = target.name.clone().unwrap_or_default();
        Err(Error::Forbidden { resource: about, name, reason })
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_bearers() {
        let token = |text: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, text.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc ").as_deref(), Some("abc"));
        for other in ["Basic abc", "Bearer ", "abc"] {
            assert_eq!(token(other), None, "{other}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
