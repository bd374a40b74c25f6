//! Tests how an adapter is chosen: by number, by name and by wgpu's environment variables (WGPU_ADAPTER_NAME,
//! WGPU_BACKEND).

use super::{lapidary, working};
use std::path::Path;
use std::process::{Command, Output};

/// Without the adapter that tests are otherwise told to take.
fn with(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(arguments).current_dir(folder).env("LAPIDARY_CACHE", "off");
    command.env_remove("LAPIDARY_ADAPTER").env_remove("WGPU_ADAPTER_NAME");
    command.env_remove("WGPU_BACKEND").envs(variables.iter().copied()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// llvmpipe's name has "256 bits" in it: 5 and 256 were taken for parts of that.
#[test]
fn a_number_is_no_part_of_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let listed = working(folder.path(), &["--adapter", "0", "devices", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let adapters = listed["adapters"].as_array().unwrap();
    assert_eq!(adapters[0]["taken"], true, "{listed}");
    for number in [adapters.len(), 56, 256] {
        let output = lapidary(folder.path(), &["--adapter", &number.to_string(), "devices"]);
        assert_eq!(output.status.code(), Some(4), "{number}");
        assert!(said(&output).contains("0: "), "{}", said(&output));
    }
    // As it is printed, it is found: by name, by PCI numbers, by place where there is one.
    for adapter in adapters {
        for key in ["name", "id", "pci"] {
            let text = adapter[key].as_str().unwrap();
            if !text.is_empty() {
                let again = working(folder.path(), &["--adapter", text, "devices", "--json"]);
                let again: serde_json::Value = serde_json::from_str(&again).unwrap();
                let taken = again["adapters"].as_array().unwrap();
                let taken = taken.iter().find(|adapter| adapter["taken"] == true).unwrap();
                assert_eq!(taken[key], adapter[key]);
            }
        }
    }
}

#[test]
fn wgpus_own_variables_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let name = [("WGPU_ADAPTER_NAME", "no such adapter")];
    let output = with(folder.path(), &name, &["devices"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(said(&output).contains("no such adapter"), "{}", said(&output));
    let backend = [("WGPU_BACKEND", "metal,dx12")];
    let output = with(folder.path(), &backend, &["devices"]);
    if cfg!(target_os = "linux") {
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        let none = [("WGPU_BACKEND", "vulkan"), ("VK_DRIVER_FILES", "/dev/null")];
        let output = with(folder.path(), &none, &["devices"]);
        assert!(said(&output).contains("none found on VULKAN, the backends"), "{}", said(&output));
    }
}

/// `devices` knows the adapters that the other commands take, of OpenGL too.
#[test]
fn devices_looks_where_commands_look() {
    let folder = tempfile::tempdir().unwrap();
    let [listed, checked] = ["devices", "doctor"]
        .map(|command| lapidary(folder.path(), &["--adapter", "gl:no such adapter", command]));
    for output in [listed, checked] {
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains("no such adapter"), "{}", said(&output));
    }
}

/// Nobody asked for a CPU: a line says that one computes, unless nothing is to be said.
#[test]
fn a_cpu_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let devices = with(folder.path(), &[], &["devices", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&devices.stdout).unwrap();
    let cpu = listed["adapters"]
        .as_array()
        .unwrap()
        .iter()
        .any(|adapter| adapter["taken"] == true && adapter["kind"] == "Cpu");
    let plan = with(folder.path(), &[], &["plan", "fashion-tiny"]);
    assert!(plan.status.success(), "{}", said(&plan));
    assert_eq!(said(&plan).contains("computes on the CPU"), cpu, "{}", said(&plan));
    assert_eq!(said(&with(folder.path(), &[], &["--quiet", "plan", "fashion-tiny"])), "");
}

/// A driver needs more address space than that.
#[cfg(target_os = "linux")]
#[test]
fn too_little_memory_is_not_a_missing_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -v 150000; exec "$@""#, "sh", env!("CARGO_BIN_EXE_lapidary")]);
    let output = command.arg("devices").current_dir(folder.path()).output().unwrap();
    // Where the loader itself finds no memory, the system says so.
    let text = said(&output);
    assert!(!output.status.success());
    assert!(text.contains("memory") && !text.contains("no GPU adapter"), "{text}");
}
