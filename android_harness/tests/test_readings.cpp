#include <doctest/doctest.h>

#include <cstdint>
#include <limits>

#include "readings.h"
#include "temporary.h"

using edgebench::read_celsius;
using edgebench::read_number;
using edgebench::read_whole;

TEST_CASE("degrees are told from tenths and thousandths by their magnitude") {
    CHECK(edgebench::celsius(45123) == doctest::Approx(45.123));
    CHECK(edgebench::celsius(451) == doctest::Approx(45.1));
    CHECK(edgebench::celsius(45) == doctest::Approx(45));
    CHECK(edgebench::celsius(-20000) == doctest::Approx(-20));
}

TEST_CASE("a temperature lies within the limits that the controller holds a zone to, in whichever unit it is") {
    const Temporary folder;
    const auto celsius = [&](const char* text) { return read_celsius(folder.write("zone", text).c_str()); };
    CHECK(celsius("-20000\n") == -20.0);
    CHECK(celsius("150000\n") == 150.0);
    CHECK(celsius("1250\n") == 125.0);
    for (const char* text : {"-20001\n", "150001\n", "-274000\n", "-40\n", "151\n", "1999\n", "1e300\n", "-1e300\n", "inf\n", "nan\n", "n/a\n", ""}) {
        CAPTURE(text);
        CHECK_FALSE(celsius(text));
    }
    CHECK_FALSE(read_celsius("/nowhere/temp"));
}

TEST_CASE("a number that fits in no whole one is none, up to the very limits") {
    const Temporary folder;
    const auto whole = [&](const char* text) { return read_whole(folder.write("number", text).c_str()); };
    CHECK(whole("-412000\n") == -412000);
    CHECK(whole("1.9\n") == 1);
    CHECK(whole("-9223372036854775808\n") == std::numeric_limits<int64_t>::min());
    CHECK(whole("9223372036854774784\n") == 9223372036854774784);
    for (const char* text : {"9223372036854775807\n", "9223372036854775808\n", "-9223372036854777856\n", "1e19\n", "-1e300\n", "inf\n", "nan\n", "\n"}) {
        CAPTURE(text);
        CHECK_FALSE(whole(text));
    }
}

TEST_CASE("a file that holds more than a number is read up to its first") {
    const Temporary folder;
    CHECK(read_number(folder.write("number", "2850000 kHz\n").c_str()) == 2850000.0);
    CHECK_FALSE(read_number("/nowhere/number"));
}
