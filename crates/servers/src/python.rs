//! A Python with django-logpipe, the original of the wire format, in an environment of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::process::output;
use crate::{Error, Result, stage};

/// Everything that the scripts of the tests import, at one version.
const REQUIREMENTS: &str = "\
django-logpipe==1.6.0
kafka-python==2.3.3
boto3==1.44.5
Django==5.2.19
djangorestframework==3.18.3
msgpack==1.2.4
";

/// Installs from PyPI, once; returns the environment's interpreter.
///
/// # Errors
/// When Python 3.11 or its `venv` is missing, or the download fails.
pub fn prepare() -> Result<PathBuf> {
    let home = stage::prepared("django-logpipe-1.6.0", |partial| {
        eprintln!("fetching django-logpipe 1.6.0 with pip, once");
        output(
            "making a Python environment with `python3 -m venv`",
            Command::new("python3").args(["-m", "venv"]).arg(partial),
        )?;
        let requirements = partial.join("requirements.txt");
        fs::write(&requirements, REQUIREMENTS).map_err(Error::io("writing the requirements"))?;
        output(
            "fetching django-logpipe with `pip`",
            Command::new(partial.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "-r",
                ])
                .arg(&requirements),
        )
    })?;
    Ok(home.join("bin/python"))
}
