//! `skufetch completions SHELL`: scripts that complete options and their values in a shell.
//!
//! Values are validated where they are read, the same for the command line, the environment and the config file. If
//! clap had the possible values, it would refuse others with messages of its own. So only the copy of the command that
//! the scripts are generated from has them.

use std::fmt::Write as _;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueEnum, ValueHint, value_parser};
use clap_complete::Shell;

use super::args::help;
use crate::config::options;

/// The name of the subcommand.
pub(super) const NAME: &str = "completions";

/// The name of its argument.
pub(super) const SHELL: &str = "shell";

/// The subcommand.
pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Print the completions for a shell")
        .disable_help_flag(true)
        .override_usage("skufetch completions <SHELL>")
        .after_help(PLACES)
        .arg(
            Arg::new(SHELL)
                .value_name("SHELL")
                .help("The shell")
                .value_parser(value_parser!(Shell))
                .required(true),
        )
        .arg(help())
}

/// The script for this shell and this command.
pub(super) fn script(shell: Shell, command: Command) -> String {
    let commands = completed(command);
    if shell == Shell::Zsh {
        return for_zsh(&commands);
    }
    let names: Vec<_> = commands.get_subcommands().map(Command::get_name).chain([options::HELP]).collect();
    let script = generated(shell, commands.clone(), PROGRAM);
    // The generator takes any first word for a subcommand and would complete nothing after `products.csv`.
    match shell {
        Shell::Fish => {
            script
                .replace("if set -q argv[1]\n", &format!("if contains -- \"$argv[1]\" {}\n", names.join(" ")))
                // argparse fails while the value of the last option is still missing.
                .replace(
                    "-- $cmd 2>/dev/null\n    or return",
                    "-- $cmd 2>/dev/null\n    \
                     or argparse -s (__fish_skufetch_global_optspecs) -- $cmd[1..-2] 2>/dev/null\n    or return",
                )
                // Subcommands only as the first word. Positional values are not generated: SHELL is added here.
                .replace(
                    "-n \"__fish_skufetch_needs_command\" -a",
                    "-n \"test (count (commandline -opc)) -eq 1\" -a",
                )
                + &format!(
                    "complete -c skufetch -n \"__fish_skufetch_using_subcommand completions\" -f -a \"{}\"\n",
                    shells().join(" ")
                )
        }
        // The script for elvish completes no files: they are added.
        Shell::Elvish => script
            .replace(
                "if (str:has-prefix $word '-') {",
                &format!("if (not (has-value [{}] $word)) {{", names.join(" ")),
            )
            .replace(
                "    $completions[$command]\n",
                "    $completions[$command]\n    edit:complete-filename $@words\n",
            ),
        Shell::PowerShell => script.replace(
            "$element.Value.StartsWith('-') -or\n",
            &format!("$element.Value -notin @('{}') -or\n", names.join("', '")),
        ),
        Shell::Bash => for_bash(&script),
        _ => script,
    }
}

/// After `tune`, bash would insert the common prefix of all options, `-`; an empty word lists files instead.
fn for_bash(script: &str) -> String {
    let (arm, awaited) = (
        "__tune)\n            opts=\"-",
        "            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then\n",
    );
    let files = "            if [[ -z ${cur} && ${COMP_CWORD} -eq 2 ]] ; then\n                return 0\n            fi\n";
    let at = script.find(arm).unwrap_or(script.len());
    let (before, tune) = script.split_at(at);
    format!("{before}{}", tune.replacen(awaited, &format!("{files}{awaited}"), 1))
}

/// The generator for zsh expects subcommands after INPUT. Here each subcommand has a function of its own, called if its
/// name is the first word; the first word is completed as a file or a subcommand.
fn for_zsh(commands: &Command) -> String {
    let mut functions = String::new();
    let mut described = String::new();
    for command in commands.get_subcommands() {
        let name = format!("{PROGRAM}-{}", command.get_name());
        let script = generated(Shell::Zsh, command.clone(), &name);
        let function = script.split_once(&format!("_{name}() {{")).map_or("", |(_, rest)| rest);
        let function = function.split_once("\n}\n").map_or("", |(function, _)| function);
        let _ = write!(functions, "_{name}() {{{function}\n}}\n\n");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = write!(described, " '{}:{about}'", command.get_name());
    }
    let fetch = Command::new(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .args(commands.get_arguments().cloned())
        .disable_help_flag(true)
        .disable_version_flag(true);
    let opening = format!("_{PROGRAM}() {{\n");
    let dispatching = format!(
        "{functions}{opening}    local -a commands=({described})
    if (( CURRENT > 2 && $+functions[_{PROGRAM}-$words[2]] )); then
        shift words
        (( CURRENT -= 1 ))
        _{PROGRAM}-$words[1]
        return
    fi
    (( CURRENT == 2 )) && _describe -t commands command commands
"
    );
    generated(Shell::Zsh, fetch, PROGRAM).replacen(&opening, &dispatching, 1)
}

const PROGRAM: &str = "skufetch";

fn generated(shell: Shell, mut command: Command, name: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8(script).expect("it is made of texts")
}

fn shells() -> Vec<String> {
    Shell::value_variants().iter().map(ToString::to_string).collect()
}

/// The command with the possible values of its options.
fn completed(command: Command) -> Command {
    let names = [super::tune::NAME, super::merge::NAME];
    names.into_iter().fold(command.mut_args(with_values), |command, name| {
        command.mut_subcommand(name, |command| command.mut_args(with_values))
    })
}

fn with_values(arg: Arg) -> Arg {
    let words = options::find(arg.get_id().as_str()).map_or(&[][..], |setting| setting.completions);
    if !words.is_empty() {
        return arg.value_parser(PossibleValuesParser::new(words));
    }
    let Some(name) = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string) else {
        return arg;
    };
    let hint = match name.as_str() {
        "INPUT" | "FILE" | "TEXT|@FILE" => ValueHint::FilePath,
        "URL" | "TEMPLATE" => ValueHint::Url,
        _ => ValueHint::Other,
    };
    // zsh reads what follows a colon in a value name as an action.
    arg.value_hint(hint).value_name(name.replace(": ", "-"))
}

const PLACES: &str = "\
Where they go:
  bash        ~/.local/share/bash-completion/completions/skufetch
  zsh         a file _skufetch in a folder of $fpath
  fish        ~/.config/fish/completions/skufetch.fish
  elvish      at the end of ~/.config/elvish/rc.elv
  powershell  at the end of the file that $PROFILE names

Such as:
  skufetch completions fish > ~/.config/fish/completions/skufetch.fish";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, load};

    /// What is said of this value of this option.
    fn judged(name: &str, word: &str) -> Result<(), String> {
        let args = ["skufetch", "in.csv", "-o", "o", "-u", "http://localhost/{sku}", "--body", "x"];
        let mut args: Vec<String> = args.iter().map(ToString::to_string).collect();
        if name == "token-grant" {
            let fields =
                ["refresh_token", "username", "password"].map(|field| format!("--token-field={field}=x"));
            args.extend(fields.into_iter().chain(["--token-url=http://localhost/".to_owned()]));
        }
        args.push(format!("--{name}={word}"));
        let env = Environment::default();
        load(args.into_iter().map(Into::into), &env, Path::new("/")).map(drop).map_err(|e| e.to_string())
    }

    #[test]
    fn every_word_is_one_that_the_option_takes_and_none_that_it_names_is_left_out() {
        let completed = options::all().filter(|setting| !setting.completions.is_empty());
        for (name, words) in completed.map(|setting| (setting.name, setting.completions)) {
            for word in words {
                assert_eq!(judged(name, word), Ok(()), "--{name}={word}");
            }
            let (last, others) = words.split_last().unwrap();
            let named = format!("{} or {last}", others.join(", "));
            let refused = judged(name, "nonsense?");
            assert!(name == "method" || refused.as_ref().is_err_and(|e| e.contains(&named)), "{refused:?}");
        }
    }

    #[test]
    fn every_file_is_completed_as_one() {
        let command = completed(super::super::command());
        for (name, hint) in [
            ("input", ValueHint::FilePath),
            ("output", ValueHint::FilePath),
            ("failed", ValueHint::FilePath),
            ("config", ValueHint::FilePath),
            ("ca-cert", ValueHint::FilePath),
            ("url", ValueHint::Url),
            ("rate", ValueHint::Other),
            ("merge", ValueHint::Unknown),
        ] {
            let arg = command.get_arguments().find(|arg| arg.get_id() == name).unwrap();
            assert_eq!(arg.get_value_hint(), hint, "{name}");
        }
    }

    #[test]
    fn every_shell_gets_a_script_that_names_every_option() {
        for shell in Shell::value_variants() {
            let script = script(*shell, super::super::command());
            for setting in options::all() {
                assert!(script.contains(setting.name), "{shell} lacks {}", setting.name);
            }
            assert!(!script.contains("NAME: VALUE"), "{shell}");
        }
    }

    #[test]
    fn every_script_distinguishes_a_file_from_a_command() {
        for (shell, mended, times) in [
            (Shell::Fish, "if contains -- \"$argv[1]\" completions man tune merge help\n", 1),
            (Shell::Fish, "-n \"test (count (commandline -opc)) -eq 1\" -a", 5),
            (Shell::Elvish, "if (not (has-value [completions man tune merge help] $word)) {", 1),
            (Shell::Elvish, "edit:complete-filename $@words\n", 1),
            (
                Shell::PowerShell,
                "$element.Value -notin @('completions', 'man', 'tune', 'merge', 'help') -or",
                1,
            ),
            (Shell::Zsh, "\n_skufetch-tune() {\n", 1),
            (Shell::Zsh, "\n_skufetch-merge() {\n", 1),
            (Shell::Zsh, "_skufetch-$words[1]\n", 1),
        ] {
            assert_eq!(
                script(shell, super::super::command()).matches(mended).count(),
                times,
                "{shell}: {mended}"
            );
        }
    }
}
