// root = sqrt(a) / sqrt(b) of each pair, 1 where that is zero, negative or not finite.

struct Params {
  size: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> root: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn root_ratio(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.size) { return; }
  let ratio = sqrt(a[id.x]) / sqrt(b[id.x]);
  // Of the bits: a compiler may take for granted that there are no infinities.
  let is_finite = (bitcast<u32>(ratio) & 0x7f800000u) != 0x7f800000u;
  root[id.x] = select(1.0, ratio, is_finite && ratio > 0.0);
}
