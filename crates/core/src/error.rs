//! One error-code enum, mapped once to gRPC statuses and to HTTP problem details.

use std::{fmt, sync::Arc, time::Duration};

/// The sixteen gRPC failure codes that are used, with their numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are gRPC's own")]
pub enum GrpcCode {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

macro_rules! error_codes {
    ($(
        $(#[doc = $doc:literal])* $name:ident = $text:literal, $grpc:ident, $http:literal,
        $title:literal, $remedy:literal;
    )*) => {
        /// What went wrong, for programs. The text of each is part of the public API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {$($(#[doc = $doc])* $name,)*}

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text: `code` in problem details, `bistro-code` in gRPC metadata.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$name => $text,)*}
            }

            /// The gRPC status it travels as.
            #[must_use]
            pub const fn grpc(self) -> GrpcCode {
                match self {$(Self::$name => GrpcCode::$grpc,)*}
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn http(self) -> u16 {
                match self {$(Self::$name => $http,)*}
            }

            /// A short sentence that is the same for every occurrence (RFC 9457 `title`).
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {$(Self::$name => $title,)*}
            }

            /// What it means, in a sentence or two, for the catalogue of errors.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {$(Self::$name => concat!($($doc),*).trim(),)*}
            }

            /// How whoever asked can mend it, for the catalogue of errors.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self {$(Self::$name => $remedy,)*}
            }

            /// The code with this text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {$($text => Some(Self::$name),)* _ => None}
            }
        }
    };
}

error_codes! {
    /// A field is missing or malformed.
    InvalidArgument = "invalid_argument", InvalidArgument, 422, "The request is not valid",
        "Mend the fields that `errors` names, all of them at once, and send the request again.";
    /// The body is not what the content type says.
    MalformedBody = "malformed_body", InvalidArgument, 400, "The body cannot be read",
        "Send one JSON value in UTF-8, whole, with `Content-Type: application/json`.";
    /// No token, or one that is expired or forged.
    Unauthenticated = "unauthenticated", Unauthenticated, 401, "Log in first",
        "Trade the refresh token for a new access token, or log in, and send it as `Authorization: Bearer`.";
    /// The e-mail address or the password is wrong.
    WrongCredentials = "wrong_credentials", Unauthenticated, 401, "The address or password is wrong",
        "Write both again, or ask for a new password.";
    /// The token is good, but does not allow this.
    PermissionDenied = "permission_denied", PermissionDenied, 403, "This is not allowed",
        "Ask as somebody who may; a role or membership that was given a moment ago is in the next access token.";
    /// No such thing, or none that the asker may know of.
    NotFound = "not_found", NotFound, 404, "There is no such thing",
        "Check the path and the id. Who may not know of a thing finds none.";
    /// The path is right, the method is not.
    MethodNotAllowed = "method_not_allowed", Unimplemented, 405, "This method is not allowed here",
        "Use one of the methods that the header `Allow` names.";
    /// The request's body came too slowly.
    RequestTimeout = "request_timeout", DeadlineExceeded, 408, "The request came too slowly",
        "Send the whole body at once; nothing has happened.";
    /// Something with this unique value is there already.
    AlreadyExists = "already_exists", AlreadyExists, 409, "This exists already",
        "Use what is there, or choose another name or address.";
    /// The thing is not in a state in which this can be done.
    WrongState = "wrong_state", FailedPrecondition, 409, "This cannot be done in the present state",
        "Read the thing again; what can be done follows from its state.";
    /// Others changed it at the same time, again and again.
    Conflict = "conflict", Aborted, 409, "Somebody else changed this at the same time",
        "Send the same request again, with the same `Idempotency-Key`.";
    /// The idempotency key was used with another body.
    IdempotencyKeyReused = "idempotency_key_reused", FailedPrecondition, 422, "The idempotency key was used for another request",
        "Use a new key for a new request; repeat a request unchanged.";
    /// `If-Match` names another version than the present one.
    VersionMismatch = "version_mismatch", FailedPrecondition, 412, "The thing changed since it was read",
        "Read it again, make the change again, and send its new `ETag` as `If-Match`.";
    /// `If-Match` or `Idempotency-Key` is missing.
    PreconditionRequired = "precondition_required", InvalidArgument, 428, "A precondition header is missing",
        "Send the header that `detail` asks for.";
    /// Not enough in stock.
    SoldOut = "sold_out", FailedPrecondition, 409, "Something is sold out",
        "Ask for a new quote without it, or for fewer.";
    /// The restaurant does not take orders now.
    RestaurantClosed = "restaurant_closed", FailedPrecondition, 409, "The restaurant is closed",
        "Order when it is open.";
    /// The quote is too old; ask for a new one.
    QuoteExpired = "quote_expired", FailedPrecondition, 409, "The quote has expired",
        "Ask for a new quote and place that.";
    /// The card's issuer said no.
    CardDeclined = "card_declined", FailedPrecondition, 402, "The card was declined",
        "Pay with another card, under a new `Idempotency-Key`.";
    /// Too many requests from this address or user.
    RateLimited = "rate_limited", ResourceExhausted, 429, "Too many requests",
        "Wait for as many seconds as `Retry-After` says, and send fewer; `RateLimit` says how many are left.";
    /// The body or message is larger than allowed.
    TooLarge = "too_large", ResourceExhausted, 413, "The request is too large",
        "Send less at once.";
    /// An answer, or a request that was passed on, is larger than one message may be.
    MessageTooLarge = "message_too_large", OutOfRange, 422, "A message is too large",
        "Ask for a shorter page with `limit`; what is too large by itself has to be made shorter.";
    /// The data was written by a newer program that says this one cannot read it.
    IncompatibleSchema = "incompatible_schema", FailedPrecondition, 500, "The data is newer than this program",
        "Nothing to mend for whoever asks: the platform's operators run a newer version.";
    /// Something this needs does not answer; it did not happen.
    Unavailable = "unavailable", Unavailable, 503, "The service is unavailable for the moment",
        "Wait for as many seconds as `Retry-After` says, then send the same request with the same `Idempotency-Key`.";
    /// It took too long; whether it happened is not known.
    DeadlineExceeded = "deadline_exceeded", DeadlineExceeded, 504, "The request took too long",
        "Send the same request with the same `Idempotency-Key` to know what became of it.";
    /// It may have happened: repeat it with the same idempotency key to know.
    OutcomeUnknown = "outcome_unknown", Unknown, 504, "Whether it happened is not known yet",
        "Send the same request with the same `Idempotency-Key` to know what became of it.";
    /// A mistake in the program.
    Internal = "internal", Internal, 500, "Something is wrong on our side",
        "Report it with the `request_id`, under which the log has the cause.";
}

impl ErrorCode {
    /// The code for a status from a server that did not say which code it meant.
    #[must_use]
    pub const fn from_grpc(code: i32) -> Self {
        match code {
            1 | 4 => Self::DeadlineExceeded,
            3 => Self::InvalidArgument,
            // What gRPC says of a message that is larger than its limit.
            11 => Self::MessageTooLarge,
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            7 => Self::PermissionDenied,
            8 => Self::RateLimited,
            9 => Self::WrongState,
            10 => Self::Conflict,
            14 => Self::Unavailable,
            16 => Self::Unauthenticated,
            2 => Self::OutcomeUnknown,
            _ => Self::Internal,
        }
    }

    /// Whether the same request may succeed later, unchanged and with the same key.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Unavailable
                | Self::DeadlineExceeded
                | Self::OutcomeUnknown
                | Self::Conflict
                | Self::RateLimited
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One field that is wrong, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path in the request: `lines[2].quantity`.
    pub path: String,
    /// A sentence that says what to write instead.
    pub message: String,
}

/// An error that may be shown to whoever asked: a code, a sentence, and the cause for the log.
#[derive(Clone, Debug)]
pub struct Error {
    code: ErrorCode,
    message: String,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    about: Option<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The usual result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a sentence for the asker.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            fields: Vec::new(),
            retry_after: None,
            about: None,
            source: None,
        }
    }

    /// One field is wrong.
    pub fn field(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { path: path.into(), message: message.into() }])
    }

    /// Several fields are wrong; all are said at once.
    #[must_use]
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let message = fields
            .iter()
            .map(|field| format!("{}: {}", field.path, field.message))
            .collect::<Vec<_>>()
            .join("; ");
        Self { fields, ..Self::new(ErrorCode::InvalidArgument, message) }
    }

    /// There is no such `what`.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no {what}"))
    }

    /// A login is needed.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(ErrorCode::Unauthenticated, "send a valid access token: Authorization: Bearer …")
    }

    /// A mistake of ours; the cause goes to the log, not to the asker.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(ErrorCode::Internal, "an unexpected error; the log has it under the request id")
            .caused_by(source)
    }

    /// Keeps `source` as the cause.
    #[must_use]
    pub fn caused_by(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// Keeps the id of what was meant, for the audit trail: other roles are told, and never the
    /// asker.
    #[must_use]
    pub fn about(self, id: impl fmt::Display) -> Self {
        Self { about: Some(id.to_string()), ..self }
    }

    /// The id of what was meant, if the asker must not be told.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The fields that are wrong.
    #[must_use]
    pub fn field_errors(&self) -> &[FieldError] {
        &self.fields
    }

    /// When to try again, if it was said.
    #[must_use]
    pub const fn retry_delay(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The sentence with every cause behind it, for logs and dead letters.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = format!("{}: {}", self.code, self.message);
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_its_text() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
            assert!((400..600).contains(&code.http()), "{code}");
            for sentence in [code.meaning(), code.remedy()] {
                assert!(
                    sentence.ends_with('.') && !sentence.starts_with(' '),
                    "{code}: {sentence}"
                );
            }
        }
    }

    #[test]
    fn a_chain_names_every_cause() {
        let inner = Error::new(ErrorCode::Unavailable, "the store is away");
        let outer = Error::internal(inner);
        assert!(outer.chain().ends_with(": the store is away"), "{}", outer.chain());
    }
}
