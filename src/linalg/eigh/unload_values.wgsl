// Copies sorted eigenvalues out of a padded batch, back in the units of the matrix as it came.

struct Params {
  size: u32,
  side: u32,
  target_at: u32,  // place of the first row of values among the problem's
  first: u32,      // place of the first matrix in the batch
}

@group(0) @binding(0) var<storage, read> sorted_values: array<f32>;  // [batch, side]
@group(0) @binding(1) var<storage, read> states: array<MatrixState>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;  // [.., size]
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn unload_values(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.size) { return; }
  let place = params.first + id.z;
  let scale = power_of_two(-states[place].exponent);
  results[(params.target_at + id.z) * params.size + id.x] =
      scale * sorted_values[place * params.side + id.x];
}
