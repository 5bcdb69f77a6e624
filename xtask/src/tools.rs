//! Which tools do the real servers need, and what does a machine that lacks one install?

use std::process::Command;

use crate::run::{Result, answers};

/// A tool, how to see that it is there, and what brings it.
struct Tool {
    name: &'static str,
    found: fn() -> bool,
    debian: &'static str,
    elsewhere: &'static str,
}

const TOOLS: [Tool; 9] = [
    Tool {
        name: "java 17 or newer (runs Apache Kafka)",
        found: || java().is_some_and(|version| version >= 17),
        debian: "openjdk-17-jre-headless",
        elsewhere: "https://adoptium.net",
    },
    Tool {
        name: "keytool (makes the certificate of Kafka's TLS listener; comes with java)",
        found: || answers("keytool", &["-help"]),
        debian: "openjdk-17-jre-headless",
        elsewhere: "https://adoptium.net",
    },
    Tool {
        name: "mvn (fetches Apache Kafka)",
        found: || answers("mvn", &["--version"]),
        debian: "maven",
        elsewhere: "https://maven.apache.org",
    },
    Tool {
        name: "node (runs the Kinesis server)",
        found: || answers("node", &["--version"]),
        debian: "nodejs",
        elsewhere: "https://nodejs.org",
    },
    Tool {
        name: "npm (fetches the Kinesis server)",
        found: || answers("npm", &["--version"]),
        debian: "npm",
        elsewhere: "https://nodejs.org",
    },
    Tool {
        name: "python3 of version 3.11 or newer with venv (runs django-logpipe)",
        found: || {
            answers(
                "python3",
                &[
                    "-c",
                    "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))",
                ],
            )
        },
        debian: "python3-venv",
        elsewhere: "https://www.python.org",
    },
    Tool {
        name: "make (builds OpenSSL and librdkafka)",
        found: || answers("make", &["--version"]),
        debian: "make",
        elsewhere: "your system's packages",
    },
    Tool {
        name: "perl (builds OpenSSL)",
        found: || answers("perl", &["--version"]),
        debian: "perl",
        elsewhere: "your system's packages",
    },
    Tool {
        name: "cc (builds OpenSSL, librdkafka and SQLite)",
        found: || answers("cc", &["--version"]),
        debian: "gcc",
        elsewhere: "your system's packages",
    },
];

/// Fails with everything that is missing at once, and how to get it.
pub fn check() -> Result {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !(tool.found)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut message = String::from("the tests against real servers need tools that are missing:\n");
    for tool in &missing {
        message += &format!("  {}: {}\n", tool.name, tool.elsewhere);
    }
    let mut packages: Vec<&str> = missing.iter().map(|tool| tool.debian).collect();
    packages.dedup();
    message += &format!(
        "on Debian and Ubuntu: apt-get install {}\n`cargo xtask test --no-services` runs the tests that need no server",
        packages.join(" ")
    );
    Err(message)
}

/// The major version that `java` says it has, on stderr, as `openjdk version "17.0.15"`.
fn java() -> Option<u32> {
    let output = Command::new("java").arg("-version").output().ok()?;
    major(&String::from_utf8_lossy(&output.stderr))
}

fn major(version: &str) -> Option<u32> {
    let (_, quoted) = version.split_once("version \"")?;
    let digits = quoted.split(|next: char| !next.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_version_of_java_is_read_as_every_vendor_prints_it() {
        let cases = [
            ("openjdk version \"17.0.15\" 2025-04-15", Some(17)),
            ("java version \"1.8.0_401\"", Some(1)),
            (
                "Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version \"25\" 2025-09-16",
                Some(25),
            ),
            ("openjdk version \"26-ea\"", Some(26)),
            ("command not found", None),
        ];
        for (printed, expected) in cases {
            assert_eq!(major(printed), expected, "{printed}");
        }
    }
}
