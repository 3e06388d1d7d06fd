package engine

import "strings"

// FreeMailService names the free-mail service a folded domain belongs to, by
// itself or as a host below it.
func FreeMailService(domain string) (service string, found bool) {
	return Under(domain, freeMailServices())
}

// SharedSender names the mailing service a folded envelope domain belongs to:
// it sends for many customers, and a permit for it is one for all of them.
func SharedSender(domain string) (service string, found bool) {
	return Under(domain, sharedSenders())
}

// Under reports whether a folded domain is one of a list or below one of them.
func Under(domain string, list []string) (match string, found bool) {
	for _, d := range list {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return d, true
		}
	}
	return "", false
}

// freeMailServices are domains where anybody gets a mailbox.
func freeMailServices() []string {
	return []string{
		"163.com", "126.com", "aol.com", "bigpond.com", "btinternet.com", "comcast.net", "cox.net", "duck.com",
		"earthlink.net", "fastmail.com", "fastmail.fm", "free.fr", "freenet.de", "gmail.com", "gmx.at", "gmx.ch",
		"gmx.com", "gmx.de", "gmx.net", "googlemail.com", "hey.com", "hotmail.co.uk", "hotmail.com", "hotmail.de",
		"hotmail.fr", "hotmail.it", "hushmail.com", "icloud.com", "inbox.com", "inbox.ru", "laposte.net", "libero.it",
		"list.ru", "live.co.uk", "live.com", "live.de", "live.fr", "live.nl", "mac.com", "mail.com", "mail.ru", "me.com",
		"msn.com", "naver.com", "orange.fr", "outlook.com", "outlook.de", "outlook.fr", "pm.me", "proton.me",
		"protonmail.ch", "protonmail.com", "qq.com", "rediffmail.com", "rocketmail.com", "sbcglobal.net", "seznam.cz",
		"sina.com", "sky.com", "t-online.de", "tuta.com", "tuta.io", "tutanota.com", "tutanota.de", "verizon.net",
		"virgilio.it", "virginmedia.com", "wanadoo.fr", "web.de", "wp.pl", "ya.ru", "yahoo.ca", "yahoo.co.in",
		"yahoo.co.jp", "yahoo.co.uk", "yahoo.com", "yahoo.com.au", "yahoo.com.br", "yahoo.de", "yahoo.es", "yahoo.fr",
		"yahoo.in", "yahoo.it", "yandex.com", "yandex.ru", "yeah.net", "ymail.com", "zoho.com", "zohomail.com",
	}
}

// sharedSenders are envelope domains of services that send for many
// customers: a permit for one is a permit for all of them.
func sharedSenders() []string {
	return []string{
		"activecampaign.com", "acems1.com", "acems2.com", "acems3.com", "amazonses.com", "aweber.com", "bluehornet.com",
		"bmsend.com", "brevo.com", "brevosend.com", "cmail19.com", "cmail20.com", "cmail1.com", "cmail2.com",
		"constantcontact.com", "convertkit-mail.com", "convertkit-mail2.com", "createsend.com", "customeriomail.com",
		"dotdigital.com", "dotmailer.com", "elasticemail.com", "emarsys.net", "emlnk.com", "exacttarget.com",
		"freshemail.com", "getresponse.com", "hubspotemail.net", "hubspot.com", "icontact.com", "in.constantcontact.com",
		"klaviyomail.com", "list-manage.com", "mailchimp.com", "mailchimpapp.com", "mailchimpapp.net", "mailerlite.com",
		"mailersend.net", "mailgun.com", "mailgun.net", "mailgun.org", "mailjet.com", "mandrillapp.com", "mcdlv.net",
		"mcsv.net", "messagebus.com", "mktomail.com", "mlsend.com", "mlsend2.com", "mtasv.net", "onmicrosoft.com",
		"pardot.com", "pepipost.net", "postmarkapp.com", "postmarkapp.org", "resend.com", "resend.dev", "responsys.net",
		"rsgsv.net", "rsys1.com", "rsys2.com", "salesforce.com", "sailthru.com", "sendgrid.com", "sendgrid.me",
		"sendgrid.net", "sendinblue.com", "sendpulse.com", "smtp2go.com", "smtp.com", "socketlabs.com", "sparkpostmail.com",
		"sparkpostmail1.com", "sparkpostmail2.com", "sender-sib.com", "tmes.trendmicro.com", "turbo-smtp.com",
		"zcsend.net", "zendesk.com", "zoho-campaigns.com",
	}
}
