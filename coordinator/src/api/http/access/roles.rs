//! What somebody may: pure.

use serde::Deserialize;

/// Stands for all of a list.
const ALL: &str = "*";

/// Something that is to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) verb: &'a str,
    /// `jobs`.
    pub(super) resource: &'a str,
    /// `status`; empty for the whole object.
    pub(super) part: &'a str,
    /// Empty for all of them, and for what is in none.
    pub(super) namespace: &'a str,
}

/// What some users may do, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Role {
    /// Who.
    #[serde(default)]
    pub(super) users: Vec<String>,
    /// Who else.
    #[serde(default)]
    pub(super) groups: Vec<String>,
    /// Where; `*` for everywhere, also across namespaces.
    #[serde(default)]
    pub(super) namespaces: Vec<String>,
    /// With what: `jobs`, `pods/log`, `*`.
    #[serde(default)]
    pub(super) resources: Vec<String>,
    /// What is no object: `/metrics`, `*`; Kubernetes' `nonResourceURLs`.
    #[serde(default)]
    pub(super) paths: Vec<String>,
    /// What: `get`, `create`, `*`.
    pub(super) verbs: Vec<String>,
}

/// The roles of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles(Vec<Role>);

impl Roles {
    /// Those of `all` that somebody has.
    pub(super) fn of(all: &[Role], user: &str, groups: &[String]) -> Self {
        let is_meant = |role: &&Role| {
            role.users.iter().any(|name| name == user)
                || role.groups.iter().any(|group| groups.contains(group))
        };
        Self(all.iter().filter(is_meant).cloned().collect())
    }

    /// Everything.
    pub(super) fn everything() -> Self {
        let all = || vec![ALL.to_owned()];
        let (users, groups) = (Vec::new(), Vec::new());
        let (namespaces, resources, paths, verbs) = (all(), all(), all(), all());
        Self(vec![Role { users, groups, namespaces, resources, paths, verbs }])
    }

    /// Whether one of them allows this.
    pub(super) fn allow(&self, question: &Question<'_>) -> bool {
        self.0.iter().any(|role| role.allows(question))
    }

    /// Whether one of them allows this with what is no object.
    pub(super) fn allow_path(&self, verb: &str, path: &str) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|it| it == ALL || it == wanted);
        self.0.iter().any(|role| has(&role.verbs, verb) && has(&role.paths, path))
    }

    /// One after the other.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Role> {
        self.0.iter()
    }
}

impl Role {
    fn allows(&self, question: &Question<'_>) -> bool {
        let whole = match question.part {
            "" => question.resource.to_owned(),
            part => format!("{}/{part}", question.resource),
        };
        let has = |list: &[String], wanted: &str| list.iter().any(|it| it == ALL || it == wanted);
        has(&self.verbs, question.verb)
            && has(&self.resources, &whole)
            && has(&self.namespaces, question.namespace)
    }

    /// Whether it is one in a namespace.
    pub(super) fn is_in(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|it| it == ALL || it == namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(namespaces: &[&str], resources: &[&str], verbs: &[&str]) -> Role {
        let own = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
        Role {
            users: own(&["alice"]),
            groups: own(&["dev"]),
            namespaces: own(namespaces),
            resources: own(resources),
            paths: own(&[]),
            verbs: own(verbs),
        }
    }

    fn ask<'a>(
        verb: &'a str,
        resource: &'a str,
        part: &'a str,
        namespace: &'a str,
    ) -> Question<'a> {
        Question { verb, resource, part, namespace }
    }

    #[test]
    fn roles_are_of_users_and_groups() {
        let all = [role(&["*"], &["*"], &["*"])];
        let of = |user: &str, groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            Roles::of(&all, user, &groups).allow(&ask("get", "jobs", "", "a"))
        };
        assert!(of("alice", &[]) && of("bob", &["dev"]));
        assert!(!of("bob", &["ops"]));
    }

    #[test]
    fn what_is_no_object_is_for_those_who_are_told_so() {
        let all = Roles(vec![role(&["*"], &["*"], &["*"])]);
        assert!(!all.allow_path("get", "/metrics"));
        let scraper = Role { paths: vec!["/metrics".to_owned()], ..role(&[], &[], &["get"]) };
        let scraper = Roles(vec![scraper]);
        assert!(scraper.allow_path("get", "/metrics") && !scraper.allow_path("get", "/other"));
        assert!(!scraper.allow_path("post", "/metrics"));
        assert!(!scraper.allow(&ask("get", "jobs", "", "a")));
        assert!(Roles::everything().allow_path("get", "/metrics"));
    }

    #[test]
    fn a_role_says_where_what_and_how() {
        let viewer = Roles(vec![role(&["a"], &["jobs", "pods/log"], &["get", "list"])]);
        assert!(viewer.allow(&ask("get", "jobs", "", "a")));
        assert!(viewer.allow(&ask("get", "pods", "log", "a")));
        assert!(!viewer.allow(&ask("get", "jobs", "status", "a")));
        assert!(!viewer.allow(&ask("delete", "jobs", "", "a")));
        assert!(!viewer.allow(&ask("get", "jobs", "", "b")));
        // Across namespaces: for those only who may everywhere.
        assert!(!viewer.allow(&ask("list", "jobs", "", "")));
        assert!(Roles::everything().allow(&ask("list", "jobs", "", "")));
    }
}
