//! What a command that failed says: a sentence for people, or one object for programs.

use std::{error::Error as _, iter};

use bistro_client::ClientError;
use bistro_core::{Error, ErrorCode};
use serde_json::{Value, json};

use crate::commands::interrupt;

/// What to do about a token that the platform does not take.
const TOKEN: &str = "the token is not accepted; check --token or BISTRO_TOKEN, or log in again for a new one. Without either it is the operator's, of the data directory in the configuration (--config): is the platform at --url the one that uses it?";

/// What went wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    code: String,
    detail: String,
    /// Under which the platform's log has it, if the platform was asked.
    request_id: Option<String>,
    /// Why, why that, and so on.
    causes: Vec<String>,
}

impl Complaint {
    /// What there is to say of `error`.
    pub(crate) fn of(error: &Error) -> Self {
        let chain = || iter::successors(error.source(), |&cause| cause.source());
        let asked = chain().find_map(|cause| cause.downcast_ref::<ClientError>());
        // What is said of an error of the client can be said better here, unless the command has
        // done so already.
        let untold = asked.filter(|asked| asked.to_string() == error.message());
        let mut complaint = Self {
            code: error.code().as_str().to_owned(),
            detail: error.message().to_owned(),
            request_id: None,
            causes: Vec::new(),
        };
        if interrupt::is_cause_of(error) {
            "interrupted".clone_into(&mut complaint.code);
        }
        if let Some(ClientError::Problem { problem, .. }) = asked {
            let id = Some(&problem.request_id).filter(|id| !id.is_empty());
            complaint.request_id = id.cloned();
        }
        match untold {
            Some(ClientError::Problem { .. }) if error.code() == ErrorCode::Unauthenticated => {
                TOKEN.clone_into(&mut complaint.detail);
                // The platform's sentence is about a header, which nobody has written here.
                return complaint;
            }
            Some(ClientError::Problem { problem, .. }) => {
                problem.detail.clone_into(&mut complaint.detail);
                problem.code.clone_into(&mut complaint.code);
            }
            Some(ClientError::NoAnswer { url, .. }) => {
                complaint.detail = format!(
                    "{url} does not answer; is `bistro serve` running there? --url or BISTRO_URL names another place"
                );
            }
            _ => {}
        }
        let mut said = format!("{} {}", error.message(), complaint.sentence());
        for cause in chain() {
            let cause = cause.to_string();
            // A cause that a sentence above has already told is not told twice.
            if !said.contains(&cause) {
                said.push_str(&cause);
                complaint.causes.push(cause);
            }
        }
        complaint
    }

    /// Words that are no command.
    pub(crate) fn of_usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let detail = text.split("\n\nUsage:").next().unwrap_or_default();
        let detail = detail.trim_start_matches("error:").trim();
        Self {
            code: ErrorCode::InvalidArgument.as_str().to_owned(),
            detail: detail.split_whitespace().collect::<Vec<_>>().join(" "),
            request_id: None,
            causes: Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        match &self.request_id {
            Some(id) => format!("{} ({}, request {id})", self.detail, self.code),
            None => self.detail.clone(),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("bistro: {}", self.sentence());
        for cause in &self.causes {
            text.push_str("\n  because: ");
            text.push_str(cause);
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let told = iter::once(self.detail.as_str()).chain(self.causes.iter().map(String::as_str));
        let detail = told.collect::<Vec<_>>().join(": ");
        json!({ "code": self.code, "detail": detail, "request_id": self.request_id })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use bistro_client::Problem;
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn refused(code: &str, detail: &str) -> ClientError {
        let (code, detail) = (code.to_owned(), detail.to_owned());
        let request_id = "req_1".to_owned();
        let problem = Problem { status: 400, code, detail, request_id, errors: Vec::new() };
        ClientError::Problem { problem, retry_after: None }
    }

    #[test]
    fn a_refusal_is_told_in_the_platforms_words() {
        let complaint = Complaint::of(&refused("not_found", "there is no order").into());
        assert_eq!(complaint.text(), "bistro: there is no order (not_found, request req_1)");
        let told =
            json!({ "code": "not_found", "detail": "there is no order", "request_id": "req_1" });
        assert_eq!(complaint.json(), told);
        // Also a code that this program does not know.
        let complaint = Complaint::of(&refused("teapot", "it is short and stout").into());
        assert_eq!(complaint.json()["code"], "teapot");
    }

    #[test]
    fn a_token_that_is_not_accepted_is_not_told_in_https_words() {
        let detail = "send a valid access token: Authorization: Bearer …";
        let complaint = Complaint::of(&refused("unauthenticated", detail).into());
        let text = complaint.text();
        assert!(text.contains("--token") && text.contains("BISTRO_TOKEN"), "{text}");
        assert!(text.contains("log in again") && text.contains("req_1"), "{text}");
        assert!(!text.contains("Bearer") && !text.contains("because"), "{text}");
        assert_eq!(complaint.json()["code"], "unauthenticated");
    }

    #[test]
    fn who_does_not_answer_is_named_with_the_cause() {
        let source = Box::new(io::Error::from(io::ErrorKind::ConnectionRefused));
        let url = "http://localhost:1".to_owned();
        let complaint = Complaint::of(&ClientError::NoAnswer { url, source }.into());
        let text = complaint.text();
        assert!(text.contains("http://localhost:1 does not answer; is `bistro serve`"), "{text}");
        assert!(text.ends_with("\n  because: connection refused"), "{text}");
        let json = complaint.json();
        assert!(json["detail"].as_str().unwrap().ends_with(": connection refused"), "{json}");
        assert_eq!((&json["code"], &json["request_id"]), (&json!("unavailable"), &Value::Null));
    }

    #[test]
    fn what_a_command_says_better_is_left_and_causes_are_told_once() {
        let inner = Error::new(ErrorCode::NotFound, "no such file");
        let error = Error::new(ErrorCode::InvalidArgument, "a.csv cannot be read: no such file");
        let complaint = Complaint::of(&error.caused_by(inner));
        assert_eq!(complaint.text(), "bistro: a.csv cannot be read: no such file");
        let error = Error::new(ErrorCode::NotFound, "there is no restaurant of this name");
        let complaint = Complaint::of(&error.caused_by(refused("not_found", "none")));
        let text = complaint.text();
        assert!(text.contains("restaurant of this name (not_found, request req_1)\n"), "{text}");
    }

    #[test]
    fn wrong_words_are_told_in_one_line_and_with_what_was_meant() {
        let error = Cli::command().try_get_matches_from(["bistro", "verfy"]).unwrap_err();
        let json = Complaint::of_usage(&error).json();
        let detail = json["detail"].as_str().unwrap();
        assert!(detail.contains("'verfy'") && detail.contains("verify"), "{detail}");
        assert!(!detail.contains('\n') && !detail.contains("Usage"), "{detail}");
    }
}
