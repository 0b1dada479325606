// The angle that Jacobi would rotate a pair by, as its tangent e: small where the entry is small
// against the gap.
//
//   gap = a_jj - a_ii:   e = 2 a_ij / (gap + sign(gap) sqrt(gap^2 + 4 a_ij^2)) ~ a_ij / gap
fn small_angle(value: f32, gap: f32) -> f32 {
  return 2.0 * value / (gap + select(1.0, -1.0, gap < 0.0) * sqrt(gap * gap + 4.0 * value * value));
}

// Whether such angles may be taken all at once: entries up to a part of their gap.
fn is_correctable(value: f32, gap: f32, part: f32) -> bool {
  return abs(value) <= part * abs(gap);
}
