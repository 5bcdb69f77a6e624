//! Why did a command end early, and with which status?

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use crate::output;

/// What a command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a command ended early.
pub enum Failure {
    /// What was checked is wrong, or what was asked for can't be done. Status 1.
    Wrong(String),
    /// As `Wrong`, and the command has told all there is to tell.
    Told,
    /// The command was called wrongly, or its settings are wrong. Status 2.
    Usage(String),
    /// A log or a database can't be reached. Status 3.
    Unreachable(String),
    /// Nobody reads what is printed any more, as behind `head`. Status 0.
    Closed,
}

impl Failure {
    pub fn wrong(why: impl Display) -> Self {
        Self::Wrong(why.to_string())
    }

    pub fn usage(why: impl Display) -> Self {
        Self::Usage(why.to_string())
    }

    pub fn unreachable(why: impl Display) -> Self {
        Self::Unreachable(why.to_string())
    }

    /// Says why on standard error.
    pub fn tell(&self) {
        let (Self::Wrong(why) | Self::Usage(why) | Self::Unreachable(why)) = self else {
            return;
        };
        why.lines().for_each(output::note);
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Closed => 0,
            Self::Wrong(_) | Self::Told => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
        })
    }
}

/// Only for what is printed: files are read and written with words of their own.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Wrong(format!("standard output: {error}"))
        }
    }
}

impl From<logpipe::Error> for Failure {
    fn from(error: logpipe::Error) -> Self {
        if error.is_unavailable() {
            Self::Unreachable(error.to_string())
        } else {
            Self::Wrong(error.to_string())
        }
    }
}
