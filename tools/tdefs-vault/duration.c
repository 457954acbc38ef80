/* SPDX-License-Identifier: Apache-2.0 */
/* ISO 8601 durations. Pure. */
#include "duration.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define COUNT_MAX 10000

int duration_parse(const char *text, struct duration *ret)
{
	struct duration d = { 0 };

	if (*text++ != 'P')
		return -EINVAL;
	while (*text) {
		char *unit;
		long n = strtol(text, &unit, 10);

		if (unit == text || n < 0 || n > COUNT_MAX)
			return -EINVAL;
		if (*unit == 'Y')
			d.months += (int)n * 12;
		else if (*unit == 'M')
			d.months += (int)n;
		else if (*unit == 'W')
			d.days += (int)n * 7;
		else if (*unit == 'D')
			d.days += (int)n;
		else
			return -EINVAL;
		text = unit + 1;
	}
	if (d.months == 0 && d.days == 0)
		return -EINVAL;
	*ret = d;
	return 0;
}

int duration_days(const struct duration *d)
{
	return d->months * 28 + d->days;
}

static int64_t shift(int64_t when, int months, int days)
{
	time_t t = (time_t)when;
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		return when;
	tm.tm_mon += months;
	tm.tm_mday += days;
	return (int64_t)timegm(&tm);
}

int64_t duration_after(int64_t when, const struct duration *d)
{
	return shift(when, d->months, d->days);
}

int64_t duration_before(int64_t when, const struct duration *d)
{
	return shift(when, -d->months, -d->days);
}
