//! Tells the linker how to build a Node-API addon on this platform.

fn main() {
    napi_build::setup();
}
