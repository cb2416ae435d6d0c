//! `polyact doctor` with the built program, of either build.

mod common;

use common::polyact_succeeds;
use serde_json::Value;

#[test]
fn a_machine_is_told_with_what_is_missing_for_what() {
    let found: Value = serde_json::from_str(&polyact_succeeds(&["doctor", "--json"])).unwrap();
    let instructions: Vec<String> = polyact::activation::Isa::present().map(|isa| isa.to_string()).collect();
    assert_eq!(found["instructions"], serde_json::json!(instructions));
    assert_eq!(found["uses"][0], serde_json::json!({ "what": "design, search, report", "missing": null }));
    let networks = &found["uses"][1];
    assert_eq!(networks["what"], "inspect, calibrate, eval, sweep, plan, cost, export, reproduce");
    let text = polyact_succeeds(&["doctor"]);
    #[cfg(feature = "libtorch")]
    {
        assert_eq!(found["libtorch"]["version"], "2.13.0");
        let folder = std::path::Path::new(found["libtorch"]["folder"].as_str().expect("a folder"));
        assert!(folder.join("libtorch_cpu.so").exists(), "{folder:?}");
        assert_eq!(networks["missing"].is_null(), tch::utils::has_mkldnn());
        let (cuda, devices) = (&found["uses"][2], found["cuda_devices"].as_array().unwrap());
        assert_eq!(cuda["what"], "--device cuda");
        assert_eq!(devices.len(), tch::Cuda::device_count() as usize);
        assert!(cuda["missing"].is_null() || devices.is_empty() || text.contains("tensor operations"), "{cuda}");
        assert!(text.contains("libtorch      2.13.0"), "{text}");
    }
    #[cfg(not(feature = "libtorch"))]
    {
        assert!(found["libtorch"].is_null());
        assert!(networks["missing"].as_str().unwrap().contains("no libtorch"));
        assert!(text.contains("libtorch      not in this build"), "{text}");
    }
}
