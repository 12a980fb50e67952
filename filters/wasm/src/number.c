#include "number.h"

// Whole numbers of as many bits as a double can need: 2^1074 has 324 digits, and so has what is compared with it.
enum { WORDS = 96, DIGITS = 40 };

typedef struct {
  u32 n;
  u32 word[WORDS];
} Big;

static void big_set(Big *b, u64 value) {
  b->n = 0;
  while (value) {
    b->word[b->n++] = (u32)value;
    value >>= 32;
  }
}

// b = b * factor + more
static void big_multiply(Big *b, u32 factor, u32 more) {
  u64 carry = more;
  for (u32 i = 0; i < b->n; i++) {
    carry += (u64)b->word[i] * factor;
    b->word[i] = (u32)carry;
    carry >>= 32;
  }
  if (carry) {
    if (b->n == WORDS) stop();
    b->word[b->n++] = (u32)carry;
  }
}

static void big_power(Big *b, u32 base, u32 exponent) {
  while (exponent--) big_multiply(b, base, 0);
}

static void big_shift(Big *b, u32 bits) {
  for (; bits >= 16; bits -= 16) big_multiply(b, 65536, 0);
  big_multiply(b, 1u << bits, 0);
}

static int big_compare(const Big *one, const Big *other) {
  if (one->n != other->n) return one->n < other->n ? -1 : 1;
  for (u32 i = one->n; i-- > 0;) {
    if (one->word[i] != other->word[i]) return one->word[i] < other->word[i] ? -1 : 1;
  }
  return 0;
}

// one -= other, which is not greater
static void big_subtract(Big *one, const Big *other) {
  i64 borrow = 0;
  for (u32 i = 0; i < one->n; i++) {
    i64 rest = (i64)one->word[i] - (i < other->n ? other->word[i] : 0) + borrow;
    one->word[i] = (u32)rest;
    borrow = rest < 0 ? -1 : 0;
  }
  while (one->n && !one->word[one->n - 1]) one->n--;
}

static double assemble(u64 bits) {
  double out;
  __builtin_memcpy(&out, &bits, 8);
  return out;
}

static u64 bits_of(double value) {
  u64 out;
  __builtin_memcpy(&out, &value, 8);
  return out;
}

// digits * 10^exponent to the nearest double, ties to the even one: a/b in bits, one after the other.
static double nearest(const u8 *digits, u32 count, int exponent) {
  static Big a, b;
  big_set(&a, 0);
  for (u32 i = 0; i < count; i++) {
    if (a.n || digits[i]) {
      if (!a.n) {
        big_set(&a, digits[i]);
      } else {
        big_multiply(&a, 10, digits[i]);
      }
    }
  }
  big_set(&b, 1);
  if (exponent >= 0) {
    big_power(&a, 10, exponent);
  } else {
    big_power(&b, 10, -exponent);
  }
  if (!a.n) return 0;
  // Scaled so that b <= a < 2b; the value is a/b * 2^power.
  int power = 0, bits_a = a.n * 32 - __builtin_clz(a.word[a.n - 1]), bits_b = b.n * 32 - __builtin_clz(b.word[b.n - 1]);
  if (bits_a > bits_b) {
    power = bits_a - bits_b;
    big_shift(&b, power);
  } else {
    power = -(bits_b - bits_a);
    big_shift(&a, -power);
  }
  if (big_compare(&a, &b) < 0) {
    big_shift(&a, 1);
    power--;
  }
  if (power > 1023) return __builtin_inf();
  // 53 bits, or fewer for the smallest.
  int width = power < -1022 ? 53 - (-1022 - power) : 53;
  if (width < 0) return 0;
  u64 mantissa = 0;
  for (int i = 0; i < width; i++) {
    mantissa <<= 1;
    if (big_compare(&a, &b) >= 0) {
      big_subtract(&a, &b);
      mantissa |= 1;
    }
    big_shift(&a, 1);
  }
  // The rest, doubled already, against one more half.
  int half = big_compare(&a, &b);
  if (half > 0 || (half == 0 && (mantissa & 1))) mantissa++;
  u64 biased = power < -1022 ? 0 : (u64)(power + 1022);
  // A mantissa that has become 2^53 is the next power, and a smallest one that has 2^52 is no longer one of them.
  u64 bits = power < -1022 ? mantissa : (biased << 52) + mantissa;
  return bits >= 0x7ff0000000000000ull ? __builtin_inf() : assemble(bits);
}

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

bool to_number(Str s, double *out) {
  s = trimmed(s);
  u32 at = 0;
  bool negative = byte(s, 0) == '-';
  if (negative || byte(s, 0) == '+') at++;
  u8 digits[DIGITS + 1];
  u32 count = 0;
  i64 exponent = 0;
  bool any = false, point = false, more = false;
  for (;; at++) {
    int c = byte(s, at);
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (!is_digit(c)) break;
    any = true;
    if (point) exponent--;
    if (count == 0 && c == '0') continue;
    if (count < DIGITS) {
      digits[count++] = c - '0';
    } else {
      exponent++;
      more = more || c != '0';
    }
  }
  if (!any) return false;
  if (byte(s, at) == 'e' || byte(s, at) == 'E') {
    at++;
    bool minus = byte(s, at) == '-';
    if (minus || byte(s, at) == '+') at++;
    if (!is_digit(byte(s, at))) return false;
    i64 given = 0;
    for (; is_digit(byte(s, at)); at++) {
      if (given < 1000000000000000) given = given * 10 + (s.at[at] - '0');
    }
    exponent += minus ? -given : given;
  }
  if (at != s.size) return false;
  // Digits past the last that is kept are a little more than it.
  if (more) {
    digits[count++] = 1;
    exponent--;
  }
  double value;
  u64 whole = 0;
  if (count <= 15) {
    for (u32 i = 0; i < count; i++) whole = whole * 10 + digits[i];
  }
  if (count == 0) {
    value = 0;
  } else if (exponent + count > 310) {
    value = __builtin_inf();
  } else if (exponent + count < -330) {
    value = 0;
  } else if (count <= 15 && exponent >= -22 && exponent <= 22) {
    value = exponent < 0 ? (double)whole / TENS[-exponent] : (double)whole * TENS[exponent];
  } else {
    value = nearest(digits, count, (int)exponent);
  }
  *out = negative ? -value : value;
  return true;
}

bool to_whole(Str s, u64 *out) {
  u64 value = 0;
  if (!s.size) return false;
  for (u32 i = 0; i < s.size; i++) {
    if (!is_digit(s.at[i])) return false;
    value = value * 10 + (s.at[i] - '0');
    if (value > (1ull << 53)) return false;
  }
  *out = value;
  return true;
}

// The first `count` digits of a value above 0, rounded to even in ties, and the place of the first: d.ddd * 10^place.
static int digits_of(double value, u32 count, u8 *digits) {
  static Big a, b;
  u64 bits = bits_of(value), mantissa = bits & 0xfffffffffffffull;
  int exponent = (int)(bits >> 52 & 0x7ff);
  if (exponent) {
    mantissa |= 1ull << 52;
  } else {
    exponent = 1;
  }
  exponent -= 1075;
  big_set(&a, mantissa);
  big_set(&b, 1);
  if (exponent >= 0) {
    big_shift(&a, exponent);
  } else {
    big_shift(&b, -exponent);
  }
  int place = 0;
  static Big ten;
  // b <= a < 10b
  for (;;) {
    ten = b;
    big_multiply(&ten, 10, 0);
    if (big_compare(&a, &ten) < 0) break;
    b = ten;
    place++;
  }
  while (big_compare(&a, &b) < 0) {
    big_multiply(&a, 10, 0);
    place--;
  }
  for (u32 i = 0; i < count; i++) {
    u8 digit = 0;
    while (big_compare(&a, &b) >= 0) {
      big_subtract(&a, &b);
      digit++;
    }
    digits[i] = digit;
    big_multiply(&a, 10, 0);
  }
  big_multiply(&b, 5, 0);
  int half = big_compare(&a, &b);
  if (half > 0 || (half == 0 && digits[count - 1] % 2)) {
    u32 i = count;
    while (i > 0 && digits[i - 1] == 9) digits[--i] = 0;
    if (i > 0) {
      digits[i - 1]++;
    } else {
      digits[0] = 1;
      place++;
    }
  }
  return place;
}

// %.<count>g
static Str general(double value, u32 count, bool negative) {
  u8 digits[17];
  int place = digits_of(value, count, digits);
  while (count > 1 && !digits[count - 1]) count--;
  Buffer out = SCRATCH;
  if (negative) add_byte(&out, '-');
  bool scientific = place < -4 || place >= 17;
  int point = scientific ? 0 : place;
  if (point < 0) {
    add(&out, S("0."));
    for (int i = point + 1; i < 0; i++) add_byte(&out, '0');
  }
  for (int i = 0; i < (int)count || i <= point; i++) {
    if (i == point + 1 && point >= 0) add_byte(&out, '.');
    add_byte(&out, '0' + (i < (int)count ? digits[i] : 0));
  }
  if (scientific) {
    add_byte(&out, 'e');
    add_byte(&out, place < 0 ? '-' : '+');
    u32 size = place < 0 ? -place : place;
    if (size < 10) add_byte(&out, '0');
    add_number(&out, size);
  }
  return all(&out);
}

// %.0f of a whole number
static Str whole_text(double value, bool negative) {
  Buffer out = SCRATCH;
  if (negative) add_byte(&out, '-');
  if (value < 9007199254740992.0) {
    add_number(&out, (u64)value);
    return all(&out);
  }
  u8 digits[320];
  u8 first;
  u32 count = (u32)digits_of(value, 1, &first) + 1;
  // 1 digit may have rounded up to one more.
  u32 place = (u32)digits_of(value, count, digits);
  if (place + 1 < count) count = place + 1;
  for (u32 i = 0; i < count; i++) add_byte(&out, '0' + digits[i]);
  return all(&out);
}

Str number_text(double value) {
  bool negative = value < 0;
  double size = negative ? -value : value;
  if (!(size <= 1.7976931348623157e308)) return size != size ? S("nan") : negative ? S("-inf") : S("inf");
  if (size == __builtin_floor(size)) return whole_text(size, negative);
  Str shorter = general(size, 15, negative);
  double again;
  return to_number(shorter, &again) && again == value ? shorter : general(size, 17, negative);
}
