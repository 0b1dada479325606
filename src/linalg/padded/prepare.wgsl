// work = 2^exponent * (M + shift I), with 1 on the padding's diagonal: what the solvers work on.

struct Params {
  side: u32,
  columns: u32,  // invocations along x
}

@group(0) @binding(0) var<storage, read> m: array<f32>;           // [batch, side, side]
@group(0) @binding(1) var<storage, read> states: array<MatrixState>;
@group(0) @binding(2) var<storage, read_write> work: array<f32>;  // [batch, side, side]
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(256)
fn prepare(@builtin(global_invocation_id) id: vec3u) {
  let at = id.y * params.columns + id.x;
  let cells = params.side * params.side;
  if (at >= cells) { return; }

  let state = states[id.z];
  let scale = power_of_two(state.exponent);
  let i = at / params.side;
  var value = scale * m[id.z * cells + at];
  if (i == at % params.side) {
    value = select(value + scale * state.shift, 1.0, i >= u32(state.size));
  }
  work[id.z * cells + at] = value;
}
