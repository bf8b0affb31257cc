//! The table for people: `docs/pod-fields.md` says what the code does.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::super::{Field, JOB, Rule};

const HEAD: &str = "\
# What becomes of each field of a Job

Every field of the API has its line, and nothing is ignored in silence: what is refused is refused
when a Job is handed in (422), with its path and what to do instead. *Recorded* means that the field
is stored and shown, and that it has no effect on processes of a host. Made from
`coordinator/src/admission/unsupported`; a test holds it true, and another holds the lists against
the types of Kubernetes' API. A container of the images `pause` and `busybox` that says no `command`
is given one before.
";

/// Lists of fields that were not described yet, by the place where they stand first.
type Left = Vec<(String, &'static [Field])>;

fn document() -> String {
    let mut text = HEAD.to_owned();
    let mut left: Left = vec![("the object".to_owned(), JOB)];
    let mut told: Left = Vec::new();
    while !left.is_empty() {
        let (place, fields) = left.remove(0);
        if told.iter().any(|(_, known)| is_same(known, fields)) {
            continue;
        }
        told.push((place.clone(), fields));
        writeln!(text, "\n## {}\n\n| field | |\n| --- | --- |", title(&place)).unwrap();
        let mut below = Left::new();
        for field in fields {
            let name = field.name;
            let inside =
                if place == "the object" { name.to_owned() } else { format!("{place}.{name}") };
            let said = said(field.rule, &inside, &told, &mut below);
            writeln!(text, "| `{name}` | {said} |").unwrap();
        }
        below.append(&mut left);
        left = below;
    }
    text
}

/// Whether two lists say the same: constants have no addresses to go by.
fn is_same(one: &[Field], other: &[Field]) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

fn title(place: &str) -> String {
    if place == "the object" { "The Job".to_owned() } else { format!("`{place}`") }
}

fn said(rule: Rule, place: &str, told: &[(String, &'static [Field])], below: &mut Left) -> String {
    let mut list = |fields: &'static [Field], place: String| {
        let first = told.iter().chain(&*below).find(|(_, known)| is_same(known, fields));
        if let Some((first, _)) = first {
            return format!("as `{first}`");
        }
        below.push((place, fields));
        "see below".to_owned()
    };
    match rule {
        Rule::Works | Rule::Capabilities => "works".to_owned(),
        Rule::Harmless => "recorded".to_owned(),
        Rule::Inside(fields) => list(fields, place.to_owned()),
        Rule::Each(fields) => list(fields, format!("{place}[]")),
        Rule::EachBut(fields, but) => {
            format!("{}, and `{but}` works", list(fields, format!("{place}[]")))
        }
        Rule::Refused(instead) => format!("**refused**: {instead}"),
        Rule::Only(known, why) => {
            let known: Vec<String> = known.iter().map(|text| format!("`{text}`")).collect();
            format!("{} only: {why}", known.join(", "))
        }
        Rule::OnlyTrue(why) => format!("`true` only: {why}"),
        Rule::NotNegative => "works, if it is not negative".to_owned(),
        Rule::Needed(why) => format!("works, and has to be there: {why}"),
        Rule::Limits => {
            "works for CPU, memory, devices, and disk (volumes); huge pages are **refused**"
                .to_owned()
        }
    }
}

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pod-fields.md")
}

#[test]
fn the_document_says_what_the_table_says() {
    let wanted = document();
    let found = std::fs::read_to_string(place()).unwrap_or_default();
    if found == wanted {
        return;
    }
    let fresh = std::env::temp_dir().join("pod-fields.md");
    std::fs::write(&fresh, wanted).unwrap();
    panic!("docs/pod-fields.md is not what the table says: {} is", fresh.display());
}
