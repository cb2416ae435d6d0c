//! The ranges of ReLUs as the option `relu_vr` of the ANT-ACE compiler takes them (fhe-cmplr/sihe, its scripts for ResNet-20).

use crate::activation::{Interval, SitePolynomials};

/// `/layer1/layer1.0/relu_1/Relu=4;…`, the names that torch.onnx gives to the nodes, and bounds of their absolute inputs.
pub fn relu_vr<'a>(bounds: impl IntoIterator<Item = (&'a str, f64)>) -> String {
    let bounds = bounds.into_iter().map(|(site, bound)| format!("{}={bound}", onnx_name(site)));
    bounds.collect::<Vec<_>>().join(";")
}

pub(super) fn option(sites: &SitePolynomials) -> String {
    let relus = sites.sites.iter().filter(|site| site.kind == "relu");
    relu_vr(relus.filter_map(|site| Some((site.site.as_str(), site.interval().map(Interval::bound)?)))) + "\n"
}

/// `layer1.0.relu#2` as torch.onnx names its node: `/layer1/layer1.0/relu_1/Relu`.
fn onnx_name(site: &str) -> String {
    let (path, uses) = site.split_once('#').map_or((site, 1), |(path, uses)| (path, uses.parse().unwrap_or(1)));
    let mut name = String::new();
    let mut module = String::new();
    for part in path.split('.') {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        // A child of a Sequential is called after its parent.
        module = if is_number && !module.is_empty() { format!("{module}.{part}") } else { part.to_owned() };
        name += &format!("/{module}");
    }
    let again = if uses > 1 { format!("_{}", uses - 1) } else { String::new() };
    format!("{name}{again}/Relu")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names in the scripts of the ANT-ACE repository for ResNet-20.
    #[test]
    fn sites_get_the_names_of_onnx_nodes() {
        assert_eq!(onnx_name("relu"), "/relu/Relu");
        assert_eq!(onnx_name("layer1.0.relu#2"), "/layer1/layer1.0/relu_1/Relu");
        assert_eq!(onnx_name("features.2"), "/features/features.2/Relu");
    }
}
