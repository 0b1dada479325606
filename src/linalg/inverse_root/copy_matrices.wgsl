// target = source, in any number of workgroups: the counts may be those of another kernel.

struct Params {
  cells: u32,  // of one matrix
}

@group(0) @binding(0) var<storage, read> source: array<f32>;         // [batch, cells]
@group(0) @binding(1) var<storage, read_write> results: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(256)
fn copy_matrices(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  for (var at = id.x; at < params.cells; at += 256 * groups.x) {
    results[id.z * params.cells + at] = source[id.z * params.cells + at];
  }
}
