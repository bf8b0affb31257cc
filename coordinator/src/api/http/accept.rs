//! Which form of an answer the client takes: the header `Accept`.

use hyper::HeaderMap;
use hyper::header::ACCEPT;

use crate::registry::Error;

/// The forms that there are of every object.
const SERVED: [&str; 2] = ["application/json", "application/yaml"];

/// In which form an object is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Json,
    /// As it is.
    Yaml,
    /// As rows to be printed; `v1` or `v1beta1` of `meta.k8s.io`.
    Table(&'static str),
    /// Its metadata alone.
    Metadata(&'static str),
}

/// In which form a discovery document is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discovery {
    /// One document for each group's version.
    Legacy,
    /// All in one; `v2` or `v2beta1` of `apidiscovery.k8s.io`.
    Aggregated(&'static str),
}

/// One thing that the client takes.
#[derive(Debug)]
struct Clause<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Clause<'a> {
    fn parameter(&self, name: &str) -> &'a str {
        let found = self.parameters.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    fn is_json(&self) -> bool {
        ["application/json", "application/*", "*/*"]
            .iter()
            .any(|json| self.media_type.eq_ignore_ascii_case(json))
    }
}

/// Whether a browser asks, for somebody who typed an address.
pub(super) fn is_person(headers: &HeaderMap) -> bool {
    let texts = texts(headers);
    clauses(&texts).iter().any(|clause| clause.media_type.eq_ignore_ascii_case("text/html"))
}

/// In which form an object is to be sent: the first of the client's that there is.
///
/// # Errors
///
/// 406 when there is none.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Error> {
    let texts = texts(headers);
    let clauses = clauses(&texts);
    if clauses.is_empty() {
        return Ok(Form::Json);
    }
    let found = clauses.iter().find_map(|clause| {
        let version = match clause.parameter("v") {
            "v1beta1" => "v1beta1",
            _ => "v1",
        };
        match clause.parameter("as") {
            "" if clause.is_json() => Some(Form::Json),
            "" if clause.media_type.eq_ignore_ascii_case(SERVED[1]) => Some(Form::Yaml),
            "Table" if clause.is_json() => Some(Form::Table(version)),
            "PartialObjectMetadata" | "PartialObjectMetadataList" if clause.is_json() => {
                Some(Form::Metadata(version))
            }
            _ => None,
        }
    });
    found.ok_or_else(|| Error::NotAcceptable { accepted: SERVED.to_vec() })
}

/// Whether a document of which there is JSON alone is taken. Go's clients ask for that of OpenAPI's
/// second version as Protocol Buffers, and could not read another.
///
/// # Errors
///
/// 406 when it is not.
pub(super) fn json(headers: &HeaderMap) -> Result<(), Error> {
    let texts = texts(headers);
    let clauses = clauses(&texts);
    if clauses.is_empty() || clauses.iter().any(Clause::is_json) {
        return Ok(());
    }
    Err(Error::NotAcceptable { accepted: vec![SERVED[0]] })
}

/// In which form a discovery document is to be sent.
pub(super) fn discovery(headers: &HeaderMap) -> Discovery {
    let texts = texts(headers);
    let found = clauses(&texts).iter().find_map(|clause| {
        if !clause.is_json() {
            return None;
        }
        match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => {
                Some(Discovery::Aggregated("v2"))
            }
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") => {
                Some(Discovery::Aggregated("v2beta1"))
            }
            ("", ..) => Some(Discovery::Legacy),
            _ => None,
        }
    });
    found.unwrap_or(Discovery::Legacy)
}

fn texts(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect()
}

/// The clauses, those that the client likes most first.
fn clauses<'a>(texts: &[&'a str]) -> Vec<Clause<'a>> {
    let mut clauses: Vec<(u32, Clause<'a>)> = texts
        .iter()
        .flat_map(|text| text.split(','))
        .filter_map(|text| {
            let mut pieces = text.split(';').map(str::trim);
            let media_type = pieces.next().filter(|text| !text.is_empty())?;
            let parameters = pieces.filter_map(|piece| piece.split_once('=')).collect();
            let clause = Clause { media_type, parameters };
            Some((thousandths(clause.parameter("q")), clause))
        })
        .filter(|(quality, _)| *quality > 0)
        .collect();
    clauses.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    clauses.into_iter().map(|(_, clause)| clause).collect()
}

/// A quality (`0.5`) in thousandths; what is no quality counts as the best.
fn thousandths(text: &str) -> u32 {
    let Some(fraction) = text.strip_prefix("0").map(|rest| rest.trim_start_matches('.')) else {
        return 1000;
    };
    let digits = format!("{fraction:0<3}");
    digits.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())])
    }

    #[test]
    fn clients_get_what_they_like_most() {
        let check = |accept: &str, wanted| {
            assert_eq!(form(&headers(accept)).map_err(|error| error.code()), wanted, "{accept}");
        };
        check("application/json", Ok(Form::Json));
        check("*/*", Ok(Form::Json));
        check("application/yaml", Ok(Form::Yaml));
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,\
             application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Ok(Form::Table("v1")),
        );
        check(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
             application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
            Ok(Form::Metadata("v1")),
        );
        check("application/vnd.kubernetes.protobuf,application/json", Ok(Form::Json));
        check("application/json;q=0.5, application/yaml;q=0.9", Ok(Form::Yaml));
        check("application/json;q=0, application/yaml", Ok(Form::Yaml));
        check("application/vnd.kubernetes.protobuf", Err(406));
        check("text/html", Err(406));
        assert_eq!(form(&HeaderMap::new()).unwrap(), Form::Json);
    }

    #[test]
    fn discovery_is_aggregated_for_those_who_ask() {
        let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
            application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
            application/json";
        assert_eq!(discovery(&headers(kubectl)), Discovery::Aggregated("v2"));
        assert_eq!(discovery(&headers("application/json")), Discovery::Legacy);
        assert_eq!(discovery(&HeaderMap::new()), Discovery::Legacy);
    }
}
