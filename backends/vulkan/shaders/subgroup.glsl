// Over the 32 invocations of a group, of subgroups of any size. A subgroup's order is the device's: only with
// --batch_invariant=false.
#extension GL_KHR_shader_subgroup_arithmetic : require

shared float of_subgroups[32];

#define OVER_GROUP(name, of_subgroup, join)                                                \
  float name(float value) {                                                                \
    value = of_subgroup(value);                                                            \
    if (gl_NumSubgroups == 1) return value;                                                \
    barrier(); /* what was there has been read */                                          \
    if (subgroupElect()) of_subgroups[gl_SubgroupID] = value;                              \
    barrier();                                                                             \
    value = of_subgroups[0];                                                               \
    for (uint i = 1; i < gl_NumSubgroups; ++i) value = join(value, of_subgroups[i]);       \
    return value;                                                                          \
  }

float Sum(float a, float b) { return a + b; }
OVER_GROUP(GroupSum, subgroupAdd, Sum)
OVER_GROUP(GroupMax, subgroupMax, max)
