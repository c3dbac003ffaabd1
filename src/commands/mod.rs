//! The commands: each builds what it needs from the settings and runs it.

mod api;
mod checks;
mod command_error;
mod descriptor_limit;
mod dry_run;
mod ending;
mod failure_file;
mod fetch;
mod http_stack;
mod merge;
#[cfg_attr(not(feature = "cloud"), path = "no_objects.rs")]
mod objects;
mod output_lock;
mod rate_store;
mod run_files;
mod run_report_writer;
mod session;
mod shard;
mod standard_output;
mod table;
mod terminal;
mod token;
mod tune;
mod unpublished;
mod warnings;
mod wiring;

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::options::{DEMO, KEY, MERGE, URL};
use crate::config::{self, ConfigError, Environment, Invocation};
use crate::engine::signals;
use crate::input::{self, InputError, InputPath, InputSettings, KeyRemedy, Rows};
use crate::model::{Exit, shell_word};
use crate::report::{self, LogFormat};

use command_error::{CommandError, Meant, meant};

/// Runs the command that the arguments name, and returns how the program ends. The first of `arguments` is the
/// program's name; `folder` is the current folder, as a path. Texts go to standard output, messages to standard error.
///
/// This is the whole program: it reads the environment, sets the panic hook and handles signals. Call it once, as `main`
/// does.
///
/// ```
/// # #[cfg(feature = "demo")] {
/// use std::ffi::OsString;
///
/// use skufetch::{Exit, run};
///
/// let folder = tempfile::tempdir()?;
/// let (input, output) = (folder.path().join("products.csv"), folder.path().join("out.json"));
/// std::fs::write(&input, "sku\n0042\n4711\n")?;
///
/// let arguments: [OsString; 5] =
///     ["skufetch".into(), input.into(), "--demo".into(), "--output".into(), output.clone().into()];
/// assert_eq!(run(arguments.into_iter(), folder.path()), Exit::Complete);
/// assert!(std::fs::read_to_string(&output)?.contains("\"4711\""));
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn run(arguments: impl Iterator<Item = OsString>, folder: &Path) -> Exit {
    std::panic::set_hook(Box::new(report_panic));
    signals::handle_sigxfsz();
    let env = Arc::new(Environment::capture());
    let arguments: Vec<OsString> = arguments.collect();
    match config::load(arguments.iter().cloned(), &env, folder) {
        Ok(Invocation::Text(text)) => standard_output::print(&text)
            .map_or_else(|failure| complain(&failure, LogFormat::Text, &env), |()| Exit::Complete),
        Ok(Invocation::Fetch(mut settings)) => {
            if !settings.run.dry_run {
                return fetch::fetch(*settings, &env);
            }
            let format = settings.messages.log_format;
            descriptor_limit::raise(&mut settings)
                .and_then(|()| dry_run::dry_run(*settings, &env))
                .unwrap_or_else(|failure| complain(&failure, format, &env))
        }
        Ok(Invocation::Merge(settings)) => merge::merge(*settings, &env),
        Ok(Invocation::Tune(mut asked)) => {
            let format = asked.settings.messages.log_format;
            descriptor_limit::raise(&mut asked.settings)
                .and_then(|()| tune::tune(*asked, &env))
                .unwrap_or_else(|failure| complain(&failure, format, &env))
        }
        Err(error) => match (error, config::log_format(&arguments, &env, folder)) {
            (ConfigError::NothingAsked { help }, LogFormat::Text) => {
                let _ = writeln!(io::stderr(), "{help}");
                Exit::Usage
            }
            (error, format) => {
                let failure = of_config(error);
                // In a log, the header separates this error from the lines of an earlier run.
                if failure.exit == Exit::Config && format == LogFormat::Text && !terminal::is_interactive() {
                    let _ = io::stderr().write_all(report::bare_log_header(SystemTime::now()).as_bytes());
                }
                complain(&failure, format, &env)
            }
        },
    }
}

/// A panic's message may hold data of a server or of a CSV. Its place is enough to find the cause.
fn report_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
    let text = format!("internal error{place}: please report it with the command line\n");
    let _ = io::stderr().write_all(text.as_bytes());
}

fn complain(failure: &CommandError, format: LogFormat, env: &Environment) -> Exit {
    let colour = terminal::standard_error(env).colour;
    let text = report::error(&failure.message, failure.hint.as_deref(), format, colour);
    // If standard error cannot be written to, the failure cannot be reported.
    let _ = io::stderr().write_all(text.as_bytes());
    failure.exit
}

fn of_config(error: ConfigError) -> CommandError {
    if let ConfigError::MissingUrl { input, reading, output_missing, bare, command } = &error {
        let usual = error.hint().unwrap_or_default();
        return match what_to_type(
            &Typed { command, bare: *bare, output_missing: *output_missing },
            input,
            reading,
        ) {
            Ok(hint) => CommandError::new(error.exit(), error.to_string()).with_hint(hint),
            Err(None) => CommandError::new(error.exit(), error.to_string()).with_hint(usual),
            // An address does not help with an input that cannot be read.
            Err(Some(input)) => {
                let is_a_command = matches!(meant(&input), Some(Meant::Command(_)));
                let failure = CommandError::from(input);
                let first = failure.hint.as_ref().map(|hint| format!("{hint}\n")).unwrap_or_default();
                let hint = if is_a_command { first } else { format!("{first}then {usual}") };
                CommandError { hint: Some(hint), ..failure }
            }
        };
    }
    error.into()
}

/// What the user typed.
struct Typed<'a> {
    command: &'a str,
    /// Nothing but the input.
    bare: bool,
    /// Without `--output`.
    output_missing: bool,
}

/// What to type, with a column that the input has: the whole command, or what to add to one that has
/// options (which are not repeated here: they may hold secrets). Otherwise what is wrong with the input.
fn what_to_type(
    &Typed { command, bare, output_missing }: &Typed<'_>,
    input: &InputPath,
    reading: &InputSettings,
) -> Result<String, Option<InputError>> {
    // Reading a pipe may block.
    let InputPath::File(path) = input else { return Err(None) };
    if path.exists() && !path.is_dir() && !input.can_be_read_twice() {
        return Err(None);
    }
    let (column, key) = match Rows::open(input, reading) {
        Ok(rows) => (rows.columns().placeholder(rows.columns().key), String::new()),
        Err(InputError::NoKey { remedy: KeyRemedy::Column(word), .. }) => {
            ("{sku}".to_owned(), format!(" {KEY} {word}"))
        }
        Err(error) => return Err(Some(error)),
    };
    // Without --merge its few rows would replace all others.
    let output = match (output_missing, input::is_failure_file(input)) {
        (true, true) => format!(" -o out.json {MERGE}"),
        (true, false) => " -o out.json".to_owned(),
        (false, _) => String::new(),
    };
    let url = shell_word(&format!("https://api.example.com/products/{column}"));
    let (ask, try_it) = if bare {
        let path = shell_word(&path.to_string_lossy());
        (
            format!("type: {command} {path}{key} {URL} {url}{output}"),
            format!("{command} {path}{key} {DEMO}{output}"),
        )
    } else {
        (format!("add:{key} {URL} {url}{output}"), format!("add{key} {DEMO}{output}"))
    };
    let demo =
        if cfg!(feature = "demo") { format!("\nor try the built-in API: {try_it}") } else { String::new() };
    Ok(ask + &demo)
}
