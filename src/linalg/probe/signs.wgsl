// Entry i of the four sign vectors: one bit each of a hash (MurmurHash3's finalizer over a Weyl
// sequence).
fn signs(i: u32) -> vec4f {
  var h = (4 * i + vec4u(1, 2, 3, 4)) * 0x9e3779b9u;
  h = (h ^ (h >> vec4u(16))) * 0x85ebca6bu;
  h = (h ^ (h >> vec4u(13))) * 0xc2b2ae35u;
  return select(vec4f(-1.0), vec4f(1.0), ((h ^ (h >> vec4u(16))) & vec4u(1)) == vec4u(0));
}
